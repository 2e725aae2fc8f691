"""``fedswarm data``: data sets beyond the embedded one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedswarm.cli.options import AsJson
from fedswarm.cli.output import result, result_json, say
from fedswarm.data.fetch import fetch

app = typer.Typer(help="Get data sets.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``fetch`` a command of its own while it is the only one."""


@app.command(name="fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(help="the data set")] = "fashion_mnist",
    folder: Annotated[Path | None, typer.Option(help="where to put it; data/NAME when absent")] = None,
    as_json: AsJson = False,
) -> None:
    """Get a full data set and print its folder, for data.folder of a job."""
    target = folder or Path("data") / name
    say(f"fetching {name} into {target}")
    where = fetch(name, target)
    if as_json:
        result_json({"name": name, "folder": str(where)})
    else:
        result(str(where))
