from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fedswarm.clock import WallClock
from fedswarm.errors import LaunchError, PortInUseError
from services.process.server import Server
from services.tracker.servicer import SERVICE_NAME, TrackerServicer

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    server.add(SERVICE_NAME, TrackerServicer(WallClock(), lease_s=10.0).add_to)
    yield server
    await server.stop(0)


async def channel_to(server: Server) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{await server.start('127.0.0.1', 0)}")


async def test_a_free_port_is_taken_when_none_is_given(server: Server) -> None:
    assert 0 < await server.start("127.0.0.1", 0) < 65536


async def test_the_port_that_is_given_is_taken(server: Server) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert await server.start("127.0.0.1", port) == port


async def test_a_port_in_use_is_an_error_of_its_own(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"cannot listen on 127\.0\.0\.1:{port}: is another run using it"):
            await server.start("127.0.0.1", port)


async def test_two_servers_never_share_a_port(server: Server) -> None:
    port, second = await server.start("127.0.0.1", 0), Server()
    with pytest.raises(PortInUseError):
        await second.start("127.0.0.1", port)
    await second.stop(0)


@pytest.mark.parametrize("port", [0, 7001])
@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_an_address_that_is_not_ours_is_named_with_the_way_out(server: Server, host: str, port: int) -> None:
    with pytest.raises(LaunchError) as caught:
        await server.start(host, port)
    assert type(caught.value) is LaunchError
    place = f"{host}:{port}" if port else host
    assert str(caught.value).startswith(f"cannot listen on {place}: ")
    assert str(caught.value).endswith("write an address of this machine, 127.0.0.1 if nobody else takes part")


@pytest.mark.parametrize("service", ["", SERVICE_NAME])
async def test_the_process_and_each_service_are_healthy(server: Server, service: str) -> None:
    async with await channel_to(server) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == SERVING


async def test_reflection_lists_the_services(server: Server) -> None:
    async with await channel_to(server) as channel:
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(requests)
        names = sorted(service.name for service in (await call.read()).list_services_response.service)
    assert names == [SERVICE_NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"]


async def test_who_watches_hears_of_the_end(server: Server) -> None:
    async with await channel_to(server) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE_NAME))
        assert (await watch.read()).status == SERVING
        await server.stop(0.5)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
