"""``fedswarm list`` and ``fedswarm status``: which runs there are, and where one stands."""

from __future__ import annotations

import time

from fedswarm.cli.options import AsJson, RunName, runs_folder
from fedswarm.cli.output import columns, result, result_json, say
from fedswarm.cli.overview import progress_facts, progress_rows, read_progress, run_facts
from fedswarm.launch.failures import describe_exit
from fedswarm.launch.run_folder import LATEST, find_run, list_runs
from fedswarm.launch.run_state import ProcessRecord


def list_all(as_json: AsJson = False) -> None:
    """Show all runs below ./runs, the newest last."""
    runs = list_runs(runs_folder())
    if as_json:
        result_json([run_facts(folder, state) for folder, state in runs])
        return
    if not runs:
        say(f"no runs below {runs_folder()}")
        return
    rows = [(folder.name, state.state, state.created_at[:19], state.error or "") for folder, state in runs]
    result(columns([("run", "state", "started", ""), *((*row[:3], row[3].split("\n")[0]) for row in rows)]))


def status(name: RunName = LATEST, as_json: AsJson = False) -> None:
    """Show where a run stands: rounds, accuracy, bytes, processes."""
    folder = find_run(runs_folder(), name)
    state, progress = folder.read_state(), read_progress(folder)
    if as_json:
        details = state.model_dump(mode="json", include={"processes", "events", "supervisor", "detached"})
        result_json(run_facts(folder, state) | progress_facts(progress) | details)
        return
    result(f"{folder.name}: {state.state}" + (f": {state.error}" if state.error else ""))
    result(
        columns([*progress_rows(progress, None if state.is_over else time.time()), ("run folder", str(folder.path))])
    )
    if state.processes:
        rows = [_process_row(role, record) for role, record in state.processes.items()]
        result("\n" + columns([("process", "pid", "address", "state"), *rows]))
    for event in state.events:
        result(f"{event.at}  {event.text}")


def _process_row(role: str, record: ProcessRecord) -> tuple[str, str, str, str]:
    if record.exit_code is not None:
        how = f"ended with {describe_exit(record.exit_code)}"
    else:
        how = "running" if not record.has_ended and record.identity.is_alive() else "gone"
    return role, str(record.identity.pid), record.target or "", how
