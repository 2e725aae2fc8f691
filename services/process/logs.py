"""The log format of the FedScale family: ``(MM-DD) HH:MM:SS LEVEL    [file.py:line] message``, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Final

LINE_FORMAT: Final = "(%(asctime)s %(levelname)-8s [%(filename)s:%(lineno)d] %(message)s"
TIME_FORMAT: Final = "%m-%d) %H:%M:%S"


def configure(level: int = logging.INFO) -> None:
    """Sends this process's log to standard error, which the launcher keeps as ``logs/<role>.log``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LINE_FORMAT, TIME_FORMAT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
