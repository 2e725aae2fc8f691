"""One end of a bare link for ``loopback.py``: plain sockets, or one gRPC stream of raw bytes. See :mod:`trial.child`.

Neither checks nor keeps what it receives.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import grpc
from trial.child import Child

from services.process.grpc_settings import DATA_OPTIONS, SERVER_OPTIONS

SEND_BYTES: Final = 256 * 1024
MESSAGE_BYTES: Final = 1024 * 1024
SERVICE: Final = "measurement.BareLink"
METHOD: Final = "Receive"
SENDER: Final = "seed"


def send_by_socket(host: str, data: bytes, child: Child) -> None:
    """Sends everything to the one that connects."""
    with socket.create_server((host, 0)) as listener:
        child.meet(target=f"{host}:{listener.getsockname()[1]}")
        connection, _ = listener.accept()
    with connection:
        child.await_go()
        view = memoryview(data)
        for at in range(0, len(data), SEND_BYTES):
            connection.sendall(view[at : at + SEND_BYTES])
        child.await_stop()


def receive_by_socket(total_bytes: int, child: Child) -> None:
    """Receives ``total_bytes`` into one small buffer."""
    host, _, port = child.meet()[SENDER]["target"].partition(":")
    buffer = bytearray(SEND_BYTES)
    with socket.create_connection((host, int(port))) as connection:
        child.await_go()
        while total_bytes > 0:
            received = connection.recv_into(buffer)
            if received == 0:
                raise EOFError(f"the sender closed {total_bytes} bytes early")
            total_bytes -= received
        child.finished()
        child.await_stop()


async def send_by_grpc(host: str, data: bytes, child: Child) -> None:
    """Serves one stream of messages to whoever asks."""
    messages = [data[at : at + MESSAGE_BYTES] for at in range(0, len(data), MESSAGE_BYTES)]

    async def receive(_: bytes, __: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        for message in messages:
            yield message

    handler = grpc.method_handlers_generic_handler(SERVICE, {METHOD: grpc.unary_stream_rpc_method_handler(receive)})
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    await asyncio.to_thread(child.meet, target=f"{host}:{port}")
    await asyncio.to_thread(child.await_go)
    await asyncio.to_thread(child.await_stop)
    await server.stop(0)


async def receive_by_grpc(total_bytes: int, child: Child) -> None:
    """Asks for the stream and reads it to its end."""
    members = await asyncio.to_thread(child.meet)
    async with grpc.aio.insecure_channel(members[SENDER]["target"], options=DATA_OPTIONS) as channel:
        await channel.channel_ready()
        await asyncio.to_thread(child.await_go)
        call: grpc.aio.UnaryStreamCall[bytes, bytes] = channel.unary_stream(f"/{SERVICE}/{METHOD}")(b"")
        while isinstance(message := await call.read(), bytes):
            total_bytes -= len(message)
        if total_bytes:
            raise EOFError(f"the sender ended the stream {total_bytes} bytes early")
        child.finished()
        await asyncio.to_thread(child.await_stop)


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--transport", choices=["sockets", "grpc"], required=True)
    options.add_argument("--name", required=True, help=f"{SENDER!r} sends")
    options.add_argument("--host", required=True)
    options.add_argument("--data", type=Path, required=True)
    chosen = options.parse_args()
    child = Child()
    total_bytes = chosen.data.stat().st_size
    if chosen.name == SENDER:
        data = chosen.data.read_bytes()
        if chosen.transport == "sockets":
            send_by_socket(chosen.host, data, child)
        else:
            asyncio.run(send_by_grpc(chosen.host, data, child))
    elif chosen.transport == "sockets":
        receive_by_socket(total_bytes, child)
    else:
        asyncio.run(receive_by_grpc(total_bytes, child))
    child.report()


if __name__ == "__main__":
    main()
