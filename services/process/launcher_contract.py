"""How a service process and whoever launched it talk: two inherited file descriptors and a handful of flags.

- ``--status-fd N``: the service writes JSON lines: ``{"ready": true, "target": "host:port"}`` once it serves,
  and at most one ``{"error": "...", "exit_code": 21}`` if it gives up.
- ``--lifeline-fd N``: the read end of a pipe whose write end only the launcher holds. Its end of file means that the
  launcher is gone, however it died, and the service ends itself: no orphan survives, on any operating system.

Both are optional, so a service can be started by hand or in a container.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags every service takes."""
    parser.add_argument("--status-fd", type=int, default=None, help="write JSON status lines to this descriptor")
    parser.add_argument("--lifeline-fd", type=int, default=None, help="end when this descriptor reaches end of file")


def add_trackers(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """``--tracker``, once or several times, with one target or several; the option's value is a list of them."""
    parser.add_argument(
        "--tracker",
        dest="trackers",
        action="extend",
        type=_targets,
        default=[],
        required=required,
        metavar="HOST:PORT[,...]",
        help="where a tracker answers; may be repeated",
    )


def _targets(text: str) -> list[str]:
    targets = [target.strip() for target in text.split(",")]
    for target in targets:
        host, _, port = target.rpartition(":")
        if not host or not port.isdecimal():
            raise argparse.ArgumentTypeError(f"{target!r} is no host:port")
    return targets


def report(status_fd: int | None, **status: object) -> None:
    """Writes one status line; a launcher that is gone is not an error."""
    if status_fd is None:
        return
    try:
        os.write(status_fd, json.dumps(status).encode() + b"\n")
    except OSError:
        return


def watch_lifeline(lifeline_fd: int | None, on_end: Callable[[], None]) -> None:
    """Calls ``on_end`` (from another thread) when the launcher is gone."""
    if lifeline_fd is None:
        return

    def wait() -> None:
        try:
            while os.read(lifeline_fd, 4096):
                pass
        except OSError:
            pass
        on_end()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
