"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedswarm.errors import FedswarmError
from fedswarm.launch.run_folder import RUNS_FOLDER

JobFile = Annotated[Path, typer.Argument(metavar="JOB.YML", help="the job, in fedswarm's form or FedScale's")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="replace one setting, e.g. training.batch_size=32; repeatable"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON on standard output")]
RunName = Annotated[str, typer.Argument(metavar="NAME", help="a job's name (its newest run), NAME/STAMP or latest")]


def working_folder() -> Path:
    """The folder this command was called in. Raises :class:`FedswarmError` if somebody has deleted it since."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise FedswarmError("the working directory is gone; change to one that exists") from None


def runs_folder() -> Path:
    """Where the runs of this working directory lie."""
    return working_folder() / RUNS_FOLDER
