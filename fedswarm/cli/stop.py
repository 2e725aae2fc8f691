"""``fedswarm stop``: end runs, gracefully if they let us."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from fedswarm.cli.options import AsJson, runs_folder
from fedswarm.cli.output import result, result_json, say
from fedswarm.cli.overview import run_facts
from fedswarm.launch.control import stop_run
from fedswarm.launch.run_folder import RunFolder, find_run, list_runs

ALL: Final = "all"


def stop(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a job's name, NAME/STAMP, latest, or all")],
    as_json: AsJson = False,
) -> None:
    """End a run (or all of them) and every process of it."""
    folders = _running() if name == ALL else [find_run(runs_folder(), name)]
    facts = []
    for folder in folders:
        was_over = folder.read_state().is_over
        state = stop_run(folder)
        facts.append(run_facts(folder, state))
        if not as_json:
            result(f"{folder.name}: {'was over already: ' if was_over else ''}{state.state}")
    if as_json:
        result_json(facts)
    elif not folders:
        say(f"nothing is running below {runs_folder()}")


def _running() -> list[RunFolder]:
    """Runs that are not over, and those whose supervisor died but left processes behind."""
    return [folder for folder, state in list_runs(runs_folder()) if not state.is_over or state.survivors()]
