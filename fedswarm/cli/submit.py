"""``fedswarm submit job.yml``: start a run and watch it to its end, or leave it running."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fedswarm.cli.checked_job import load_checked_job
from fedswarm.cli.interrupts import Interrupts, counted_interrupts
from fedswarm.cli.live_view import View, make_view
from fedswarm.cli.options import AsJson, JobFile, Overrides, working_folder
from fedswarm.cli.output import columns, result, result_json, say, size
from fedswarm.cli.overview import lost, progress_facts, progress_rows, run_facts
from fedswarm.launch.failures import error_of
from fedswarm.launch.launcher import Launcher, Run
from fedswarm.launch.local import LocalLauncher
from fedswarm.launch.plan import LaunchPlan, plan_launch
from fedswarm.launch.preflight import check
from fedswarm.launch.run_state import INTERRUPTED, RunState
from fedswarm.records.reader import Tail
from fedswarm.records.summary import RunProgress

if TYPE_CHECKING:
    from fedswarm.launch.peer_plan import PeerPlan

REFRESH_S: Final = 0.2


def submit(
    job_file: JobFile,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="leave the run in the background")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would start and move; start nothing")] = False,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Run a job: start its processes, show its rounds, end with a summary."""
    loaded = load_checked_job(job_file, overrides or [])
    for notice in loaded.notices:
        say(notice)
    if dry_run:
        check(loaded.job)
        _show_plan(plan_launch(loaded.job), as_json=as_json)
        return
    launcher: Launcher = LocalLauncher(working_folder())
    with counted_interrupts() as interrupts:
        run = launcher.launch(loaded.job, attached=not detach)
        if detach:
            _leave(run, interrupts, as_json=as_json)
        else:
            _stay(run, interrupts, as_json=as_json)


def _leave(run: Run, interrupts: Interrupts, *, as_json: bool) -> None:
    while (state := run.wait(REFRESH_S)).state == "starting" and not interrupts.count:
        pass
    if interrupts.count:
        run.kill()
        raise typer.Exit(INTERRUPTED)
    if state.is_over:
        run.release()
    _raise_failure(run, state)
    if as_json:
        result_json(run_facts(run.folder, state))
    else:
        say(f"running in the background; watch it with: fedswarm logs -f {run.folder.name}")
        result(str(run.folder.path))


def _stay(run: Run, interrupts: Interrupts, *, as_json: bool) -> None:
    progress = RunProgress()
    with make_view(run.folder, quiet_output=as_json) as view:
        state = _watch(run, progress, view, interrupts)
    if as_json:
        result_json(run_facts(run.folder, state) | progress_facts(progress))
    else:
        result(f"\n{state.state}: {run.folder.name}")
        rows = [*progress_rows(progress)] if progress.rounds else []
        if gone := lost(state):
            rows.append(("lost on the way", ", ".join(gone)))
        result(columns([*rows, ("run folder", str(run.folder.path))]))
    _raise_failure(run, state)
    if state.state == "stopped":
        raise typer.Exit(INTERRUPTED)


def _watch(run: Run, progress: RunProgress, view: View, interrupts: Interrupts) -> RunState:
    """Shows the run until it is over. Ctrl-C asks it to stop, a second one ends it by force."""
    tail = Tail(run.folder.rounds_file)
    told_to_stop = False
    while True:
        state = run.wait(REFRESH_S)  # before the records, so that none is missed at the end
        for record in tail.poll():
            progress.update(record)
            view.record(record, progress)
        view.refresh(state, progress, time.time())
        if state.is_over:
            run.release()
            return state
        if interrupts.count and not told_to_stop:
            told_to_stop = True
            say("stopping; Ctrl-C again ends it at once")
            run.stop()
        if interrupts.count > 1:
            run.kill()
            return run.state()


def _raise_failure(run: Run, state: RunState) -> None:
    if state.state == "failed":
        hint = f"more in: fedswarm logs {run.folder.name}"
        raise error_of(state.exit_code or 1, f"the run failed: {state.error}\n{hint}")


def _show_plan(plan: LaunchPlan, *, as_json: bool) -> None:
    if as_json:
        result_json(dataclasses.asdict(plan))
        return
    result(f"{plan.job_name}: {plan.rounds} rounds")
    rows = [("process", "module", "address")]
    for process in plan.processes:
        port = {None: "", 0: ":free"}.get(process.port, f":{process.port}")
        rows.append((process.role, process.module, f"{process.host}{port}" if port else "its own choice"))
    result(columns(rows))
    if plan.peers is not None:
        _show_peers(plan.participants, plan.peers)
        return
    result(
        f"clients: {'as many as the data have' if plan.clients is None else plan.clients}; each round "
        f"{plan.sampled_clients} are sampled, {plan.training_clients} train (about {plan.clients_per_executor:.1f} on "
        f"each executor), {plan.participants} count"
    )
    if plan.traffic is None:
        result("bytes: unknown, they depend on your own model's size")
        return
    result(
        f"bytes a round, roughly: model {size(plan.traffic.model)}; to the executors {size(plan.traffic.broadcast)}, "
        f"of which the aggregator sends at least {size(plan.traffic.broadcast_by_aggregator)}; "
        f"updates back {size(plan.traffic.updates)}"
    )
    result(f"ways: broadcast {plan.traffic.broadcast_way}, reduce {plan.traffic.reduce_way}")


def _show_peers(count: int, plan: PeerPlan) -> None:
    links = f"{plan.links} links, {plan.mean_degree:.3g} a peer, any two peers at most {plan.diameter} apart"
    result(f"{count} peers, each with a shard of its own; {plan.topology}: {links}")
    if plan.received_bytes is None:
        result("bytes: unknown, they depend on your own model's size")
    else:
        result(f"bytes a round, all peers together, roughly: {size(plan.received_bytes)}")
