"""The local launcher: every process of the run on this machine, below a supervisor of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

from fedswarm.errors import LaunchError
from fedswarm.jobs.resolved import dump_job
from fedswarm.jobs.schema import Job
from fedswarm.launch.control import kill_run
from fedswarm.launch.environment import service_environment
from fedswarm.launch.preflight import check
from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.run_folder import RUNS_FOLDER, RunFolder, text_log_of
from fedswarm.launch.run_state import RunState

LEAVE_TIMEOUT_S: Final = 10.0  # for a supervisor that has written the run's end


class LocalRun:
    """A run on this machine; see :class:`fedswarm.launch.launcher.Run`.

    While it is attached it holds the write end of the supervisor's lifeline: if this process dies, however it dies,
    the run is stopped.
    """

    def __init__(self, folder: RunFolder, supervisor: subprocess.Popen[bytes], lifeline_fd: int | None) -> None:
        self.folder = folder
        self._supervisor = supervisor
        self._lifeline_fd = lifeline_fd

    def state(self) -> RunState:
        """Where the run stands now; raises :class:`LaunchError` if its supervisor could not start."""
        gone = self._supervisor.poll() is not None  # before the look at the file: it writes the end, then leaves
        state = self.folder.read_recorded_state()
        if gone and not state.is_over and state.supervisor == ProcessIdentity.own():
            raise LaunchError(f"the run's supervisor did not start; see {self.folder.log_file('supervisor')}")
        return state.observed()

    def wait(self, timeout_s: float) -> RunState:
        """Waits up to ``timeout_s`` seconds for the end of the run; returns where it stands then."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(timeout_s)
        return self.state()

    def stop(self) -> None:
        """Asks the supervisor to end the run; the second time to end it at once. Does not wait."""
        # A supervisor that still starts would die of a signal, but finds the end of its lifeline when it is up.
        if not self._let_go():
            self._supervisor.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends what is left of the run by force."""
        self._supervisor.kill()
        self._supervisor.wait()
        kill_run(self.folder)

    def release(self) -> None:
        """Waits until the supervisor of a run that is over has left, so that no process of it remains."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(LEAVE_TIMEOUT_S)
        self._let_go()

    def _let_go(self) -> bool:
        """Ends the supervisor's lifeline; False if it had none, or has none any more."""
        if self._lifeline_fd is None:
            return False
        os.close(self._lifeline_fd)
        self._lifeline_fd = None
        return True


class LocalLauncher:
    """Starts runs on this machine; see :class:`fedswarm.launch.launcher.Launcher`.

    ``working_folder`` is where ``runs/`` and ``<job_name>_logging`` appear and where a job's relative paths start;
    ``services`` is the package that holds the service modules.
    """

    def __init__(self, working_folder: Path, services: str = "services") -> None:
        self._working_folder = working_folder.absolute()
        self._services = services

    def launch(self, job: Job, *, attached: bool) -> LocalRun:
        """Checks what can be checked, makes the run folder and starts the supervisor.

        Raises:
            DependencyError: no job can run here; nothing was started or written.
            TopologyError: the peers cannot be linked as the job says; likewise.
            LaunchError: the run folder cannot be written.
        """
        check(job)
        now = datetime.now().astimezone()
        try:
            folder = RunFolder.create(self._working_folder / RUNS_FOLDER, job.job_name, now)
            folder.job_file.write_text(dump_job(job))
            folder.write_state(self._first_state(folder, now, attached=attached))
        except OSError as error:
            raise LaunchError(f"cannot write below {self._working_folder / RUNS_FOLDER}: {error}") from error
        lifeline_read, lifeline_write = os.pipe()
        try:
            supervisor = self._start_supervisor(folder, lifeline_read if attached else None)
        finally:
            os.close(lifeline_read)
        if not attached:
            os.close(lifeline_write)
        return LocalRun(folder, supervisor, lifeline_write if attached else None)

    def _first_state(self, folder: RunFolder, now: datetime, *, attached: bool) -> RunState:
        return RunState(
            job_name=folder.path.parent.name,
            detached=not attached,
            created_at=now.isoformat(timespec="milliseconds"),
            text_log=str(text_log_of(folder, self._working_folder)),
            supervisor=ProcessIdentity.own(),
        )

    def _start_supervisor(self, folder: RunFolder, lifeline_fd: int | None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "fedswarm.launch.supervisor", str(folder.path), "--services", self._services]
        inherited = []
        if lifeline_fd is not None:
            command += ["--lifeline-fd", str(lifeline_fd)]
            inherited = [lifeline_fd]
        with folder.log_file("supervisor").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                cwd=self._working_folder,
                env=service_environment(os.environ),
                start_new_session=True,  # the terminal's Ctrl-C is the driver's to handle
            )
