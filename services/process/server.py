"""A gRPC server with health and reflection, on a port of its own."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from fedswarm.errors import LaunchError, PortInUseError
from services.process.grpc_settings import SERVER_OPTIONS


class Server:
    """One process's gRPC server: every service on it answers health checks and reflection."""

    def __init__(self) -> None:
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        self._health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names: list[str] = []

    def add(self, service_name: str, register: Callable[[grpc.aio.Server], None]) -> None:
        """Adds a service before :meth:`start`; ``register`` calls the generated ``add_..._to_server``."""
        self._names.append(service_name)
        register(self._server)

    async def start(self, host: str, port: int) -> int:
        """Binds and serves; returns the port (a free one when ``port`` is 0)."""
        names: Sequence[str] = (*self._names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        bound = self._bind(host, port)
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return bound

    def _bind(self, host: str, port: int) -> int:
        bound = 0
        with contextlib.suppress(RuntimeError):  # its text has no reason a user could act on
            bound = self._server.add_insecure_port(f"{host}:{port}")
        if not bound:
            raise _refusal(host, port)
        return bound

    async def stop(self, grace_s: float = 0.5) -> None:
        """Tells health watchers, then ends all calls within ``grace_s`` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


def _refusal(host: str, port: int) -> LaunchError:
    """Why an address cannot be had; a plain socket is told what gRPC keeps to itself."""
    place = f"{host}:{port}" if port else host
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            way_out = "write an address of this machine, 127.0.0.1 if nobody else takes part"
            if error.errno == errno.EACCES:
                way_out = "write a port from 1024 on, or 0, which takes a free one"
            return LaunchError(f"cannot listen on {place}: {error.strerror}; {way_out}")
    return PortInUseError(f"cannot listen on {place}: is another run using it? (0 takes a free port)")
