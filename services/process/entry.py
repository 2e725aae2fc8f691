"""The outermost layer of a service: runs its coroutine, turns signals into a stop, errors into an exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable

from fedswarm.errors import FedswarmError
from services.process import launcher_contract, logs

log = logging.getLogger(__name__)

LIFELINE_GRACE_S = 3.0


def run(
    serve: Callable[[asyncio.Event], Awaitable[None]],
    *,
    status_fd: int | None = None,
    lifeline_fd: int | None = None,
) -> int:
    """Runs ``serve(stop)`` until it returns; ``stop`` is set by SIGTERM, SIGINT or the launcher's end.

    Returns the process's exit code: 0, or that of the :class:`FedswarmError` that ended it.
    """
    logs.configure()
    gc.freeze()  # modules stay: collections need not look at them over and over
    try:
        asyncio.run(_supervise(serve, lifeline_fd))
    except FedswarmError as error:
        log.error("%s", error)
        launcher_contract.report(status_fd, error=str(error), exit_code=error.exit_code)
        return error.exit_code
    except (Exception, asyncio.CancelledError) as error:  # the process border: log it whole, report it short
        log.exception("unexpected error")
        launcher_contract.report(status_fd, error=f"{type(error).__name__}: {error}", exit_code=1)
        return 1
    return 0


async def _supervise(serve: Callable[[asyncio.Event], Awaitable[None]], lifeline_fd: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def launcher_gone() -> None:
        loop.call_soon_threadsafe(stop.set)
        # This runs on the lifeline's own thread: a loop that is stuck must not outlive its launcher either.
        time.sleep(LIFELINE_GRACE_S)
        print("the launcher is gone and this process did not end in time: exiting", file=sys.stderr)
        os._exit(1)

    launcher_contract.watch_lifeline(lifeline_fd, launcher_gone)
    await serve(stop)
