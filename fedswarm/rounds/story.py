"""From what a round decided and heard to the records it leaves."""

from __future__ import annotations

from collections.abc import Iterable

from fedswarm.records.schema import ClientInfo, ClientOutcome, ClientTimes, RoundBegin, RoundSummary, Status, TestResult
from fedswarm.rounds.active_round import ActiveRound
from fedswarm.rounds.messages import ClientReport
from fedswarm.rounds.plan import RoundPlan
from fedswarm.training.task import BlockResult


def round_begin(plan: RoundPlan, pacer: dict[str, object], executors: list[str], feasible_clients: int) -> RoundBegin:
    """ROUND_BEGIN: who is online, who was sampled, who will run, and how long each is expected to take."""
    return RoundBegin(
        round=plan.round_index,
        clock_start_s=plan.start_clock_s,
        pacer=pacer,
        online=plan.online,
        sampled=plan.sampled,
        to_run=plan.to_run,
        planned_stragglers=plan.stragglers,
        planned_times={client: _times(plan, client, plan.steps[client]) for client in plan.times},
        executors=executors,
        feasible_clients=feasible_clients,
    )


def round_summary(active: ActiveRound, wall_s: float, aggregator_bytes: int, peer_bytes: int) -> RoundSummary:
    """ROUND_SUMMARY: what became of everybody sampled; bytes and wall seconds are this round's alone."""
    plan = _plan_of(active)
    kept = active.kept
    return RoundSummary(
        completed_round=plan.round_index,
        clock_start_s=plan.start_clock_s,
        duration_s=plan.duration_s,
        completed=sorted(kept),
        stragglers=plan.stragglers,
        dropped=(*plan.inactive, *sorted(set(plan.to_run) - kept.keys())),
        loss_avg=mean_loss(active),
        client_times={client: _times(plan, client, _steps_done(active, client)) for client in plan.to_run},
        wall_s=wall_s,
        bytes_aggregator=aggregator_bytes,
        bytes_peers=peer_bytes,
        sampled_clients=len(plan.sampled),
        planned_clients=len(plan.to_run),
    )


def client_info(active: ActiveRound, mode: str, utilities_before: dict[int, float]) -> ClientInfo:
    """CLIENT_INFO: the clients that passed the activity check, with times, utilities and status."""
    plan = _plan_of(active)
    clients = (*plan.to_run, *plan.stragglers)
    return ClientInfo(
        completed_round=plan.round_index,
        clock_start_s=plan.start_clock_s,
        duration_s=plan.duration_s,
        loss_avg=mean_loss(active),
        mode=mode,
        clients={client: _outcome(active, client, utilities_before.get(client, 0.0)) for client in clients},
    )


def evaluation_result(version: int, clock_s: float, blocks: Iterable[BlockResult]) -> TestResult:
    """TEST_RESULT from the blocks' sums, added in block order so that it does not depend on who tested what."""
    ordered = sorted(blocks, key=lambda block: block.block)
    samples = sum(block.samples for block in ordered)
    return TestResult(
        round=version,
        clock_s=clock_s,
        loss=sum(block.loss_sum for block in ordered) / samples,
        top1=sum(block.top1 for block in ordered) / samples,
        top5=sum(block.top5 for block in ordered) / samples,
        samples=samples,
    )


def mean_loss(active: ActiveRound) -> float:
    """Mean moving loss of the clients that count, in id order; NaN when nobody does."""
    losses = [active.reports[client].moving_loss for client in sorted(active.kept)]
    return sum(losses) / len(losses) if losses else float("nan")


def _outcome(active: ActiveRound, client: int, utility_before: float) -> ClientOutcome:
    plan = _plan_of(active)
    times = _times(plan, client, _steps_done(active, client))
    report = active.reports.get(client)
    if report is None:
        return ClientOutcome(times, status="s", predicted_utility=utility_before)
    status: Status = "c" if client in active.kept else "d"
    return ClientOutcome(
        times=times,
        status=status,
        predicted_utility=utility_before,
        computed_utility=report.utility,
        loss=report.moving_loss,
        samples=report.trained_samples,
        executor_id=active.trained_by.get(client),
    )


def _steps_done(active: ActiveRound, client: int) -> int:
    report: ClientReport | None = active.reports.get(client)
    return report.steps if report else 0


def _times(plan: RoundPlan, client: int, steps: int) -> ClientTimes:
    planned = plan.times[client]
    return ClientTimes(planned.download_s, planned.compute_s, planned.upload_s, steps)


def _plan_of(active: ActiveRound) -> RoundPlan:
    if active.plan is None:
        raise ValueError("a round that only tests has no clients to tell of")
    return active.plan
