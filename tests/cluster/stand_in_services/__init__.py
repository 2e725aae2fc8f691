"""Services that do nothing but come up, end or misbehave as STAND_IN_<ROLE> says: the launcher's own tests need no more.

``exit:CODE`` ends at once; ``error:CODE:TEXT`` reports an error and ends; ``deaf`` ignores SIGTERM; ``after:S`` ends
regularly after S seconds; ``crash:S`` ends with code 1 after S seconds; ``silent`` never reports ready.
"""

import asyncio
import os
import signal
import sys
import time

from fedswarm.errors import FedswarmError
from services.process import entry, launcher_contract


def behaviour(role):
    return os.environ.get(f"STAND_IN_{role.upper()}", "").split(":", 2)


def run(role, arguments):
    kind, *details = behaviour(role)
    if kind == "exit":
        print(f"the {role} leaves at once")
        return int(details[0])
    status_fd = None if kind == "silent" else arguments.status_fd

    async def serve(stop):
        if kind == "error":
            raise type("Reported", (FedswarmError,), {"exit_code": int(details[0])})(details[1])
        launcher_contract.report(status_fd, ready=True, target="127.0.0.1:9")
        print(f"the {role} is up")
        if kind == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        patience_s = float(details[0]) if details else None
        try:
            await asyncio.wait_for(stop.wait(), patience_s)
        except TimeoutError:
            if kind == "crash":
                print("a crash as ordered", file=sys.stderr)
                os._exit(1)

    return entry.run(serve, status_fd=arguments.status_fd, lifeline_fd=arguments.lifeline_fd)
