"""The zygote: one process that pays for importing torch and warming the model, then forks the executors.

A forked executor shares those pages: it costs megabytes and milliseconds instead of hundreds and seconds. The zygote
has a single thread and opens no gRPC channel, since neither survives a fork. It talks to its supervisor in JSON lines
over one inherited socket:

=================================================== ==========================================================
supervisor to zygote                                zygote to supervisor
=================================================== ==========================================================
``{"fork": N, "arguments": [...], "log": PATH}``    ``{"prepared": true}`` or ``{"error": ..., "exit_code": ...}``
end of file: end all executors, then yourself       ``{"forked": N, "pid": PID}``
..                                                  ``{"status": N, "line": {...}}``: what the executor reported
..                                                  ``{"ended": N, "exit_code": C}``; negative: by that signal
=================================================== ==========================================================
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import importlib
import json
import logging
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

from fedswarm.errors import FedswarmError
from fedswarm.launch.preflight import broken_package
from fedswarm.launch.processes import thread_count

EXECUTORS_GRACE_S: Final = 5.0
_READ_BYTES: Final = 65536


@dataclass
class _Child:
    number: int
    pid: int
    status_fd: int
    unread: bytes = b""


@dataclass
class Zygote:
    """Forks executors on command and tells what becomes of them."""

    module_name: str
    commands: socket.socket
    lifeline_fd: int
    module: ModuleType = field(init=False)
    children: dict[int, _Child] = field(default_factory=dict)  # by pid
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    unread: bytes = b""

    def serve(self) -> None:
        """Obeys the supervisor until it hangs up, then ends the executors that do not end themselves."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._watch(wake_read, lambda: bool(os.read(wake_read, _READ_BYTES)))
        self._watch(self.commands.fileno(), self._obey)
        while self._serve_ready(timeout_s=None):
            self._reap()
        self._end_children()

    def _watch(self, descriptor: int, on_readable: Callable[[], bool]) -> None:
        self.selector.register(descriptor, selectors.EVENT_READ, on_readable)

    def _serve_ready(self, timeout_s: float | None) -> bool:
        """Handles what is readable; False once the supervisor is gone."""
        answers = [key.data() for key, _ in self.selector.select(timeout_s)]  # each gets its turn
        return all(answers)

    def _obey(self) -> bool:
        data = self.commands.recv(_READ_BYTES)
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            self._fork(command["fork"], command["arguments"], Path(command["log"]))
        return bool(data)

    def _fork(self, number: int, arguments: list[str], log_file: Path) -> None:
        status_read, status_write = os.pipe()
        os.set_blocking(status_read, False)
        pid = os.fork()
        if pid == 0:
            os.close(status_read)
            descriptors = ["--status-fd", str(status_write), "--lifeline-fd", str(self.lifeline_fd)]
            self._become_executor(number, [*arguments, *descriptors], log_file)
        os.close(status_write)
        child = _Child(number, pid, status_read)
        self.children[pid] = child
        self._tell(forked=number, pid=pid)
        self._watch(status_read, lambda: self._relay(child))

    def _become_executor(self, number: int, arguments: list[str], log_file: Path) -> NoReturn:
        """Runs the executor in the forked process and never returns to the zygote's own code."""
        code = 1
        try:
            self._shed_the_zygote()
            _redirect_output(log_file)
            _name_process(f"executor-{number}")
            code = int(self.module.main(arguments) or 0)
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            # The zygote's exit handlers are not the executor's: leave past them.
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _shed_the_zygote(self) -> None:
        os.close(signal.set_wakeup_fd(-1))
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for key in list(self.selector.get_map().values()):
            if key.fd != self.commands.fileno():
                os.close(key.fd)
        self.selector.close()
        self.commands.close()

    def _relay(self, child: _Child) -> bool:
        try:
            data = os.read(child.status_fd, _READ_BYTES)
        except BlockingIOError:
            return True
        if not data and child.status_fd in self.selector.get_map():
            self.selector.unregister(child.status_fd)
        *lines, child.unread = (child.unread + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                self._tell(status=child.number, line=json.loads(line))
        return True

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is None:
                continue  # a process that the user's own code left to us
            self._relay(child)  # its last words
            if child.status_fd in self.selector.get_map():
                self.selector.unregister(child.status_fd)
            os.close(child.status_fd)
            self._tell(ended=child.number, exit_code=os.waitstatus_to_exitcode(status))

    def _end_children(self) -> None:
        """The executors have a lifeline of their own; whoever does not heed it is killed."""
        deadline = time.monotonic() + EXECUTORS_GRACE_S
        self.selector.unregister(self.commands)
        while self.children and time.monotonic() < deadline:
            self._serve_ready(timeout_s=0.1)
            self._reap()
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)

    def _tell(self, **message: Any) -> None:
        # A supervisor that is gone is noticed as the end of file on the same socket.
        with contextlib.suppress(OSError):
            self.commands.sendall(json.dumps(message).encode() + b"\n")

    def prepare(self, job_file: Path) -> int:
        """Warms this process; returns 0, or the exit code of what went wrong after telling it."""
        try:
            with _dying_with_the_supervisor(self.commands):
                self.module = importlib.import_module(self.module_name)
                self.module.prepare(job_file)
        except FedswarmError as error:
            return self._give_up(error)
        except Exception as error:  # the process border: log it whole, tell it short
            traceback.print_exc()
            return self._give_up(broken_package() or FedswarmError(f"{type(error).__name__}: {error}"))
        if thread_count() > 1:
            print(f"warning: forking with {thread_count()} threads; prepare() should start none", file=sys.stderr)
        gc.collect()
        gc.freeze()  # collections in the executors then leave the shared pages alone
        self._tell(prepared=True)
        return 0

    def _give_up(self, error: FedswarmError) -> int:
        self._tell(error=str(error), exit_code=error.exit_code)
        return error.exit_code


@contextlib.contextmanager
def _dying_with_the_supervisor(commands: socket.socket) -> Iterator[None]:
    """While the zygote is too busy to read: a hang-up on the (still silent) socket raises SIGIO, which is deadly."""
    flags = fcntl.fcntl(commands, fcntl.F_GETFL)
    fcntl.fcntl(commands, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(commands, fcntl.F_SETFL, flags | os.O_ASYNC)
    try:
        with contextlib.suppress(BlockingIOError):
            if not commands.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                raise SystemExit("the supervisor was gone before the zygote was up")
        yield
    finally:
        fcntl.fcntl(commands, fcntl.F_SETFL, flags)


def _redirect_output(log_file: Path) -> None:
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _name_process(name: str) -> None:
    """Makes ``ps`` and ``top`` tell the executors apart where the kernel allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``python -m fedswarm.launch.zygote``."""
    parser = argparse.ArgumentParser(description="forks executors; started by the supervisor only")
    parser.add_argument("--module", required=True, help="executor module with prepare(job) and main(arguments)")
    parser.add_argument("--job", type=Path, required=True)
    parser.add_argument("--command-fd", type=int, required=True)
    parser.add_argument("--lifeline-fd", type=int, required=True)
    arguments = parser.parse_args(argv)
    with socket.socket(fileno=arguments.command_fd) as commands:
        zygote = Zygote(arguments.module, commands, arguments.lifeline_fd)
        code = zygote.prepare(arguments.job)
        if code == 0:
            zygote.serve()
    return code


if __name__ == "__main__":
    sys.exit(main())
