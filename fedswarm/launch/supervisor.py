"""The supervisor: parent of a run's processes, ``python -m fedswarm.launch.supervisor RUN``.

It starts trackers, aggregator and (through the zygote) the executors, keeps ``run.json`` true, and sees to it that they
end together: when the aggregator ends, when no executor is left, on SIGTERM (a second one hurries), and when its own
lifeline ends because an attached driver died. Should the supervisor itself be killed, its processes notice the end of
*their* lifeline and leave.

A decentralised job has no aggregator. It is over when its executors are, and has finished if one of them has; the
supervisor's :class:`Chronicler` writes its records, which no executor waits for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fedswarm.errors import FedswarmError, LaunchError, RunFailedError
from fedswarm.jobs.load import load_job
from fedswarm.jobs.schema import Job
from fedswarm.launch.executor_pool import ExecutorPool
from fedswarm.launch.failures import describe_exit
from fedswarm.launch.journal import RunJournal
from fedswarm.launch.member import Member
from fedswarm.launch.plan import module_of, tracker_ports
from fedswarm.launch.processes import session_members
from fedswarm.launch.run_folder import RunFolder
from fedswarm.launch.run_state import INTERRUPTED, Ending
from fedswarm.launch.service_process import ServiceProcess, lines_of

if TYPE_CHECKING:
    from fedswarm.launch.chronicler import Chronicler

STOP_GRACE_S: Final = 10.0  # for the aggregator, or the peers without one, to save what they have after a stop
LEAVE_GRACE_S: Final = 2.0  # for executors to leave by themselves when the aggregator has dismissed them
FINISH_GRACE_S: Final = 30.0  # for the aggregator to write its last results after the executors left regularly
TERM_GRACE_S: Final = 3.0  # between SIGTERM and SIGKILL
REAP_S: Final = 5.0
SILENCE_POLL_S: Final = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    phase: Ending
    exit_code: int
    error: str | None = None


STOPPED: Final = Outcome("stopped", INTERRUPTED, "stopped before its end")


class Supervisor:
    """One run's processes, from their start to the end of the last one."""

    def __init__(self, folder: RunFolder, job: Job, services: str, journal: RunJournal) -> None:
        self._folder = folder
        self._job = job
        self._services = services
        self._journal = journal
        self._lifeline_fd, self._lifeline_held_fd = os.pipe()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ending = False
        self._held: list[ServiceProcess] = []
        self._pool: ExecutorPool | None = None
        self._aggregator: Member | None = None
        self._chronicler: Chronicler | None = None  # of a job without an aggregator

    def stop(self) -> None:
        """Asks for a graceful stop; a second call for a hard one."""
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def supervise(self) -> Outcome:
        """Runs the job to its end, whatever that is; afterwards no process of it is left."""
        running = asyncio.create_task(self._run(), name="run")
        await self._first(running, self._stop.wait())
        if running.done():
            outcome = running.result()
        else:
            running.cancel()
            await asyncio.wait([running])
            outcome = STOPPED
        await self._end_everything(outcome)
        outcome = self._end_records(outcome)
        self._journal.close(outcome.phase, outcome.exit_code, outcome.error)
        return outcome

    async def _run(self) -> Outcome:
        try:
            await self._start()
            self._journal.enter("running")
            return await (self._watch() if self._chronicler is None else self._watch_peers(self._chronicler))
        except FedswarmError as error:
            return _failed(error)
        except Exception as error:  # a mistake of ours must not leave the run without an end
            traceback.print_exc()
            return Outcome("failed", FedswarmError.exit_code, f"{type(error).__name__}: {error}")

    async def _start(self) -> None:
        """Starts everything; returns once the executors are ready or the aggregator has ended already."""
        cluster, folder = self._job.cluster, self._folder
        if self._job.aggregation.mode == "decentralized":
            self._chronicler = self._make_chronicler()
        pool = self._pool = await ExecutorPool.start(
            module_of(self._services, "executor"),
            folder.job_file,
            folder.log_file("zygote"),
            self._lifeline_fd,
            self._changed,
        )
        trackers = [
            await self._start_service(role, ["--host", cluster.host, "--port", str(port)])
            for role, port in tracker_ports(cluster).items()
        ]
        tracker_flags = ["--tracker", ",".join(str(tracker.target) for tracker in trackers)]
        flags = ["--job", str(folder.job_file), "--run-folder", str(folder.path), *tracker_flags]
        if self._chronicler is not None:
            await self._start_executors(pool, flags)
            self._chronicler.begin(pool.executors)
            return
        binding = ["--host", cluster.host, "--port", str(cluster.aggregator_port)]
        text_log = ["--text-log", self._journal.state.text_log]
        aggregator = self._aggregator = await self._start_service("aggregator", [*flags, *text_log, *binding])
        await self._start_executors_of(aggregator, pool, flags)

    async def _start_executors_of(self, aggregator: Member, pool: ExecutorPool, flags: list[str]) -> None:
        """Starts the executors, or gives up because their aggregator has ended."""
        own = [*flags, "--aggregator", str(aggregator.target)]
        starting = asyncio.create_task(self._start_executors(pool, own), name="start executors")
        try:
            await self._first(starting, aggregator.until_ended())
        finally:
            starting.cancel()
        failure = starting.exception() if starting.done() and not starting.cancelled() else None
        if failure is not None and not aggregator.has_ended:
            raise failure

    async def _start_service(self, role: str, flags: list[str]) -> Member:
        service = await ServiceProcess.start(
            role,
            module_of(self._services, role),
            flags,
            self._folder.log_file(role),
            self._lifeline_fd,
            self._changed,
        )
        self._held.append(service)
        self._journal.record(service.member)
        await service.member.until_ready(self._job.cluster.start_timeout_s)
        return service.member

    async def _start_executors(self, pool: ExecutorPool, flags: list[str]) -> None:
        timeout_s = self._job.cluster.start_timeout_s
        await pool.zygote.until_ready(timeout_s)
        for number in range(1, self._job.cluster.executors + 1):
            log_file = self._folder.log_file(f"executor-{number}")
            self._journal.record(await pool.fork(number, [*flags, "--executor-id", str(number)], log_file))
        await self._await_executors(pool.executors, timeout_s)

    async def _await_executors(self, executors: list[Member], timeout_s: float) -> None:
        """Waits until all are ready or dead. An error that one reports would meet the others too, so it is raised."""
        lost = []
        for executor in executors:
            try:
                await executor.until_ready(timeout_s)
            except LaunchError:
                if not executor.was_lost:
                    raise
                self._journal.note_end(executor)
                lost.append(executor)
        if len(lost) == len(executors):
            raise lost[0].failure

    async def _watch(self) -> Outcome:
        """Waits for what ends a run that has started."""
        assert self._aggregator is not None
        await self._first(self._all_ended(self._executors()), self._aggregator.until_ended())
        if not self._aggregator.has_ended and any(member.exit_code == 0 for member in self._executors()):
            await self._wait([self._aggregator], FINISH_GRACE_S)
        if not self._aggregator.has_ended:
            return self._nobody_left()
        if self._aggregator.exit_code == 0:
            return Outcome("finished", 0)
        return _failed(self._aggregator.failure)

    async def _watch_peers(self, chronicler: Chronicler) -> Outcome:
        """Waits until all peers have ended, or nothing is heard any more of those that others have left behind."""
        executors = self._executors()
        following = asyncio.create_task(chronicler.follow(), name="follow the peers")
        try:
            await self._first(following, self._all_ended(executors), self._long_silence(chronicler))
            if following.done():
                await following  # raises why the records cannot be written
        finally:
            following.cancel()
        chronicler.poll()
        if any(member.exit_code == 0 for member in executors):
            return Outcome("finished", 0)
        told = next((member for member in executors if member.has_ended and not member.was_lost), None)
        return self._nobody_left() if told is None else _failed(told.failure)

    async def _long_silence(self, chronicler: Chronicler) -> None:
        """Waits until a peer has finished and those left have told nothing for as long as a lease of work lasts."""
        patience_s = self._job.cluster.lease_timeout_s
        left = self._executors()
        while len(left) == len(self._executors()) or chronicler.silence_s < patience_s:
            await asyncio.sleep(min(patience_s, SILENCE_POLL_S))
            left = [member for member in self._executors() if member.exit_code != 0]
        for member in left:
            if not member.has_ended:
                text = f"{member.role} told nothing for {patience_s:g} s after others finished: ended"
                self._journal.note(text, member.role)

    def _nobody_left(self) -> Outcome:
        ends = ", ".join(f"{member.role}: {_how(member)}" for member in self._executors())
        error = f"no executor is left ({ends}); their logs are in {self._folder.logs}"
        return Outcome("failed", RunFailedError.exit_code, error)

    def _executors(self) -> list[Member]:
        return [] if self._pool is None else self._pool.executors

    def _changed(self, member: Member) -> None:
        self._journal.record(member)
        unexpected = member.has_ended and member.exit_code != 0 and member is not self._aggregator
        if unexpected and self._journal.state.state == "running" and not self._ending:
            self._journal.note_end(member)

    async def _end_everything(self, outcome: Outcome) -> None:
        self._ending = True
        everybody = [*(service.member for service in self._held), *self._executors()]
        if outcome.phase == "stopped":
            savers = self._executors() if self._aggregator is None else [self._aggregator]
            for member in savers:
                member.send(signal.SIGTERM)
            await self._wait(savers, STOP_GRACE_S)
        if outcome.phase != "failed":
            await self._wait(self._executors(), LEAVE_GRACE_S)
        for number, patience_s in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, REAP_S)):
            for member in everybody:
                member.send(number)
            await self._wait(everybody, patience_s)
        await self._end_zygote()
        _end_session()

    def _make_chronicler(self) -> Chronicler:
        from fedswarm.launch.chronicler import Chronicler  # numpy takes a third of a second: only these jobs pay

        text_log = Path(self._journal.state.text_log)
        return Chronicler(self._folder, self._job, text_log, time.time, self._journal.note)

    def _end_records(self, outcome: Outcome) -> Outcome:
        if self._chronicler is None:
            return outcome
        try:
            self._chronicler.end(outcome.phase, outcome.error or "")
        except RunFailedError as error:
            return _failed(error) if outcome.phase == "finished" else outcome
        except Exception:  # a mistake of ours must not leave the run without an end
            traceback.print_exc()
        return outcome

    async def _end_zygote(self) -> None:
        if self._pool is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TERM_GRACE_S):
                await self._pool.close()
        self._pool.zygote.send(signal.SIGKILL)

    async def _wait(self, members: Iterable[Member], timeout_s: float) -> None:
        """Waits until all of them have ended, for at most ``timeout_s`` seconds, less in a hurry."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._first(self._all_ended(members), self._hurry.wait())

    @staticmethod
    async def _all_ended(members: Iterable[Member]) -> None:
        for member in list(members):
            await member.until_ended()

    @staticmethod
    async def _first(*waits: asyncio.Task[Any] | Coroutine[Any, Any, Any]) -> None:
        """Waits for one of them. Tasks are the caller's and go on; plain coroutines are cancelled."""
        own = [asyncio.create_task(wait) for wait in waits if not isinstance(wait, asyncio.Task)]
        given = [wait for wait in waits if isinstance(wait, asyncio.Task)]
        try:
            await asyncio.wait([*own, *given], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in own:
                task.cancel()


def _failed(error: FedswarmError) -> Outcome:
    """The end that an error means; somebody else may have stopped a service, and that is no failure."""
    return STOPPED if error.exit_code == INTERRUPTED else Outcome("failed", error.exit_code, str(error))


def _how(member: Member) -> str:
    return "gone" if member.exit_code is None else describe_exit(member.exit_code)


def _end_session() -> None:
    """Ends what is left of this session: processes that a member started itself and left behind."""
    if os.getsid(0) != os.getpid():
        return  # started by hand in somebody's session
    for pid in session_members(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def _watch_lifeline(lifeline_fd: int, on_end: Callable[[], None]) -> None:
    async with lines_of(lifeline_fd) as reader:
        await reader.read()
    on_end()


async def _supervise(folder: RunFolder, job: Job, services: str, lifeline_fd: int | None) -> int:
    if folder.read_recorded_state().is_over:
        return INTERRUPTED  # stopped before it began
    journal = RunJournal(folder, lambda: datetime.now().astimezone())
    supervisor = Supervisor(folder, job, services, journal)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    watcher = None if lifeline_fd is None else asyncio.create_task(_watch_lifeline(lifeline_fd, supervisor.stop))
    outcome = await supervisor.supervise()
    if watcher is not None:
        watcher.cancel()
    return outcome.exit_code


def main(argv: list[str] | None = None) -> int:
    """Entry point; the exit code is the run's."""
    parser = argparse.ArgumentParser(description="supervises one run; started by `fedswarm submit`")
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--services", default="services", help="package that holds the service modules")
    parser.add_argument("--lifeline-fd", type=int, default=None, help="stop when this descriptor reaches end of file")
    arguments = parser.parse_args(argv)
    folder = RunFolder(arguments.run_folder.absolute())
    job = load_job(folder.job_file, []).job
    return asyncio.run(_supervise(folder, job, arguments.services, arguments.lifeline_fd))


if __name__ == "__main__":
    sys.exit(main())
