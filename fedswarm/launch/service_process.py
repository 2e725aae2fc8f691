"""Starts a service in a process of its own and tells its :class:`Member` what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

from fedswarm.launch.environment import service_environment
from fedswarm.launch.member import Member
from fedswarm.launch.processes import ProcessIdentity

MAX_LINE_BYTES: Final = 1 << 20


async def start_python(
    module: str, arguments: Sequence[str], log_file: Path, inherited_fds: Sequence[int]
) -> asyncio.subprocess.Process:
    """``python -m module arguments`` with output appended to ``log_file`` and nothing else inherited."""
    with log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=inherited_fds,
            env=service_environment(os.environ),
        )


class ServiceProcess:
    """A running service; keep it, its watcher lives as long as it does."""

    def __init__(self, member: Member, process: asyncio.subprocess.Process, status_fd: int) -> None:
        self.member = member
        self._watcher = asyncio.create_task(self._watch(process, status_fd), name=f"watch {member.role}")

    @classmethod
    async def start(
        cls,
        role: str,
        module: str,
        arguments: Sequence[str],
        log_file: Path,
        lifeline_fd: int,
        on_change: Callable[[Member], None],
    ) -> ServiceProcess:
        """Starts ``module`` with the flags of the launcher contract after its own ``arguments``."""
        status_read, status_write = os.pipe()
        try:
            descriptors = ["--status-fd", str(status_write), "--lifeline-fd", str(lifeline_fd)]
            process = await start_python(module, [*arguments, *descriptors], log_file, [status_write, lifeline_fd])
        except BaseException:
            os.close(status_read)
            raise
        finally:
            os.close(status_write)
        return cls(Member(role, ProcessIdentity.of(process.pid), log_file, on_change), process, status_read)

    async def _watch(self, process: asyncio.subprocess.Process, status_fd: int) -> None:
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(self._hear(status_fd))
            code = await process.wait()
            # Its last words are in the pipe already; whoever else may hold the other end has nothing to say.
            await asyncio.wait([hearing], timeout=0.2)
            hearing.cancel()
        self.member.end(code)

    async def _hear(self, status_fd: int) -> None:
        async with lines_of(status_fd) as lines:
            async for line in lines:
                with contextlib.suppress(ValueError):
                    self.member.hear(json.loads(line))


@contextlib.asynccontextmanager
async def lines_of(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    """The lines written to a pipe whose read end is ``descriptor``, which it closes at the end."""
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        yield reader
    finally:
        transport.close()
