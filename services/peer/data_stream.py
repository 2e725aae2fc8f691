"""One outgoing data stream: requests go out pipelined, frames come back, on a connection that carries nothing else."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import grpc

from fedswarm.swarm.manifest import Key
from fedswarm.v1 import peer_pb2
from services.process.grpc_settings import DATA_OPTIONS

FETCH_METHOD: Final = "/fedswarm.v1.Peer/Fetch"


class DataStream:
    """A ``Peer.Fetch`` call to ``target``. The exchange bounds what is asked ahead, so the queue here is bounded too.

    ``on_frame`` gets each encoded frame, ``on_lost`` the reason when the stream breaks by itself. Neither is called
    after :meth:`close`.
    """

    def __init__(self, target: str, on_frame: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self.target = target
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._wants: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._run(), name=f"data stream to {target}")

    def want(self, key: Key, index: int) -> None:
        """Asks for a chunk."""
        self._wants.append(peer_pb2.Want(round=key.round, source=key.source, index=index).SerializeToString())
        self._wake.set()

    def close(self) -> asyncio.Task[None]:
        """Ends the stream without a word; await the task to know that it has."""
        self._closed = True
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        async with grpc.aio.insecure_channel(self.target, options=DATA_OPTIONS) as channel:
            call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(FETCH_METHOD)()
            writer = asyncio.create_task(self._write(call))
            try:
                reason = await self._read(call)
            finally:
                writer.cancel()
                call.cancel()
                await asyncio.gather(writer, return_exceptions=True)
        if not self._closed:
            self._on_lost(reason)

    async def _read(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> str:
        try:
            while isinstance(frame := await call.read(), bytes):
                if self._closed:
                    break
                self._on_frame(frame)
            return "it closed the stream"
        except grpc.aio.AioRpcError as error:
            return f"{self.target} answers {error.code().name}"

    async def _write(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        while True:
            while self._wants:
                try:
                    await call.write(self._wants.popleft())
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # the reader learns of it too, with the reason
            self._wake.clear()
            await self._wake.wait()
