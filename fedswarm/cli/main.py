"""The door of the command line, and the border where errors become messages and exit codes.

The commands are imported behind it: that takes a good part of a second, and Ctrl-C must end it without a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from fedswarm.cli.interrupts import on_interrupt
from fedswarm.errors import FedswarmError

INTERRUPTED = 130


def main() -> None:
    """Runs the command line in ``sys.argv`` and exits the process with a code from ``docs/exit-codes.md``."""
    _open_missing_streams()
    # Nothing has happened yet, so there is nothing to undo; an exception could surface anywhere in an import.
    with on_interrupt(lambda: os._exit(INTERRUPTED)):
        from fedswarm.cli.commands import app
    try:
        app(prog_name="fedswarm")
    except FedswarmError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to interrupt


def _open_missing_streams() -> None:
    """Output goes nowhere where this process was started without it (``>&-``)."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (open for good)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (open for good)


if __name__ == "__main__":
    main()
