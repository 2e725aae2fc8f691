"""The supervisor's end of the zygote: asks it for executors and hears how they fare."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from fedswarm.errors import LaunchError
from fedswarm.launch.failures import describe_exit
from fedswarm.launch.member import Member
from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.service_process import MAX_LINE_BYTES, start_python

ORPHAN_POLL_S: Final = 0.5


class ExecutorPool:
    """One zygote and the executors forked from it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        log_file: Path,
        on_change: Callable[[Member], None],
    ) -> None:
        self.zygote = Member("zygote", ProcessIdentity.of(process.pid), log_file, on_change)
        self._process = process
        self._reader = reader
        self._writer = writer
        self._on_change = on_change
        self._log_files: dict[int, Path] = {}
        self._executors: dict[int, Member] = {}
        self._forking: dict[int, asyncio.Future[Member]] = {}
        self._listener = asyncio.create_task(self._listen(), name="listen to the zygote")

    @classmethod
    async def start(
        cls, module: str, job_file: Path, log_file: Path, lifeline_fd: int, on_change: Callable[[Member], None]
    ) -> ExecutorPool:
        """Starts the zygote, which warms itself meanwhile; :meth:`fork` after ``zygote.until_ready()``."""
        ours, theirs = socket.socketpair()
        with theirs:
            flags = ["--module", module, "--job", str(job_file)]
            flags += ["--command-fd", str(theirs.fileno()), "--lifeline-fd", str(lifeline_fd)]
            inherited = [theirs.fileno(), lifeline_fd]
            process = await start_python("fedswarm.launch.zygote", flags, log_file, inherited)
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        return cls(process, reader, writer, log_file, on_change)

    @property
    def executors(self) -> list[Member]:
        """Those forked so far, by number."""
        return list(self._executors.values())

    async def fork(self, number: int, arguments: Sequence[str], log_file: Path) -> Member:
        """Forks executor ``number`` with these command-line arguments.

        Raises:
            LaunchError: the zygote died first.
        """
        forked: asyncio.Future[Member] = asyncio.get_running_loop().create_future()
        self._forking[number] = forked
        self._log_files[number] = log_file
        if self.zygote.has_ended:
            self._give_up_forking()
        command = {"fork": number, "arguments": list(arguments), "log": str(log_file)}
        self._writer.write(json.dumps(command).encode() + b"\n")
        return await forked

    async def close(self) -> None:
        """Hangs up, upon which the zygote ends its executors and itself; waits until it is gone."""
        self._writer.close()
        await self.zygote.until_ended()
        self._listener.cancel()

    async def _listen(self) -> None:
        async for line in self._reader:
            self._take(json.loads(line))
        self.zygote.end(await self._process.wait())
        self._give_up_forking()
        await self._watch_orphans()

    def _take(self, message: dict[str, Any]) -> None:
        if "prepared" in message:
            self.zygote.hear({"ready": True})
        elif "error" in message:
            self.zygote.hear(message)
        elif "forked" in message:
            number = message["forked"]
            identity = ProcessIdentity.of(message["pid"])
            member = Member(f"executor-{number}", identity, self._log_files[number], self._on_change)
            self._executors[number] = member
            forking = self._forking.pop(number)
            if not forking.done():  # whoever wanted it may have been told to stop meanwhile
                forking.set_result(member)
        elif "status" in message:
            self._executors[message["status"]].hear(message["line"])
        elif "ended" in message:
            self._executors[message["ended"]].end(message["exit_code"])

    def _give_up_forking(self) -> None:
        code = self.zygote.exit_code
        how = "is gone" if code is None else f"ended with {describe_exit(code)}"
        for forked in self._forking.values():
            if not forked.done():
                forked.set_exception(LaunchError(f"no executor can be started: the zygote {how}"))

    async def _watch_orphans(self) -> None:
        """Without the zygote nobody reports the executors' ends, but the run goes on: look for them now and then."""
        while alive := [member for member in self._executors.values() if not member.has_ended]:
            for member in alive:
                if not member.identity.is_alive():
                    member.end(None)
            await asyncio.sleep(ORPHAN_POLL_S)
