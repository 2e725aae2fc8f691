"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedswarm.launch.run_folder import RUNS_FOLDER

JobFile = Annotated[Path, typer.Argument(metavar="JOB.YML", help="the job, in fedswarm's form or FedScale's")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="replace one setting, e.g. training.batch_size=32; repeatable"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON on standard output")]
RunName = Annotated[str, typer.Argument(metavar="NAME", help="a job's name (its newest run), NAME/STAMP or latest")]


def runs_folder() -> Path:
    """Where the runs of this working directory lie."""
    return Path.cwd() / RUNS_FOLDER
