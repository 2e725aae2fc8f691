"""``python -m services.tracker.main``: the tracker of one or several jobs."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from services.process import launcher_contract


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="fedswarm-tracker", description="Introduces the peers of a job to each other."
    )
    options.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    options.add_argument("--port", type=int, default=0, help="port to bind; 0 takes a free one (default)")
    options.add_argument("--lease", type=float, default=10.0, help="seconds a silent peer stays listed (default: 10)")
    launcher_contract.add_arguments(options)
    return options


async def serve(options: argparse.Namespace, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set."""
    from fedswarm.clock import WallClock
    from services.process.server import Server
    from services.tracker.servicer import SERVICE_NAME, TrackerServicer

    servicer = TrackerServicer(WallClock(), options.lease)
    server = Server()
    server.add(SERVICE_NAME, servicer.add_to)
    port = await server.start(options.host, options.port)
    timekeeper = asyncio.create_task(servicer.keep_time())
    launcher_contract.report(options.status_fd, ready=True, target=f"{options.host}:{port}")
    await stop.wait()
    timekeeper.cancel()
    await server.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tracker; returns its exit code."""
    options = parser().parse_args(arguments)
    from services.process import entry

    return entry.run(lambda stop: serve(options, stop), status_fd=options.status_fd, lifeline_fd=options.lifeline_fd)


if __name__ == "__main__":
    sys.exit(main())
