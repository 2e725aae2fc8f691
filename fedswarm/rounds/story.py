"""From what a round decided and heard to the records it leaves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fedswarm import __version__
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout
from fedswarm.records.client_outcome import ClientOutcome, ClientTimes, Status
from fedswarm.records.schema import ClientInfo, Federation, JobConfig, RoundBegin, RoundSummary, TestResult
from fedswarm.rounds.active_round import ActiveRound
from fedswarm.rounds.exchange_choice import spreads_by_peers, way
from fedswarm.rounds.messages import Traffic
from fedswarm.rounds.plan import Population, RoundPlan
from fedswarm.rounds.rules import Verdict
from fedswarm.training.task import BlockResult

# What ROUND_SUMMARY calls the utilities that ROUND_BEGIN tells under a key, and what became of them.
UTILITY_KEYS: Final = {
    "pre_util": ("oort_pyr_util_before", "oort_pyr_util_after"),
    "bliss_pred_seen": ("bliss_pred_seen", "bliss_actual_seen"),
    "bliss_pred_unseen": ("bliss_pred_unseen", "bliss_actual_unseen"),
}


def job_config(job: Job) -> JobConfig:
    """JOB_CONFIG: the first record of a run."""
    return JobConfig(job=job.model_dump(mode="json"), version=__version__, seed=job.seed)


def federation(job: Job, population: Population, layout: Layout, executors: int, *, reduces: bool) -> Federation:
    """FEDERATION: who can take part, how large the model is, and which ways weights go with so many executors."""
    return Federation(
        clients=len(population.client_ids),
        samples=sum(population.samples.values()),
        model_parameters=layout.size,
        model_bytes=layout.nbytes,
        broadcast=way(spreads_by_peers(job.exchange, layout.nbytes, executors)),
        reduce=way(reduces),
    )


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
        planned_times={client: _planned(plan, client) for client in plan.times},
        executors=executors,
        feasible_clients=feasible_clients,
        predictions=plan.predictions,
    )


def round_summary(active: ActiveRound, verdict: Verdict, wall_s: float, traffic: Traffic) -> RoundSummary:
    """ROUND_SUMMARY: what became of everybody sampled; bytes and wall seconds are this round's alone."""
    plan = active.plan
    return RoundSummary(
        completed_round=plan.round_index,
        clock_start_s=plan.start_clock_s,
        duration_s=verdict.duration_s,
        completed=sorted(verdict.kept),
        stragglers=verdict.stragglers,
        dropped=verdict.dropped,
        loss_avg=mean_loss(active, verdict),
        client_times=client_times(active, plan.to_run),
        wall_s=wall_s,
        bytes_sent=traffic.sent,
        bytes_received=traffic.received,
        bytes_peers=traffic.peers,
        bytes_wasted=traffic.wasted,
        sampled_clients=len(plan.sampled),
        planned_clients=len(plan.to_run),
        utilities=utilities(active),
    )


def client_info(active: ActiveRound, verdict: Verdict, mode: str) -> ClientInfo:
    """CLIENT_INFO: everybody sampled whose device could take part, with times, utilities and status."""
    plan = active.plan
    kept, stragglers = set(verdict.kept), set(verdict.stragglers)
    expected = {client: utility for group in plan.predictions.values() for client, utility in group.items()}

    def status(client: int) -> Status:
        return "c" if client in kept else "s" if client in stragglers else "d"

    listed = [client for client in plan.sampled if client in plan.times and client not in plan.inactive]
    return ClientInfo(
        completed_round=plan.round_index,
        clock_start_s=plan.start_clock_s,
        duration_s=verdict.duration_s,
        loss_avg=mean_loss(active, verdict),
        mode=mode,
        clients={client: _outcome(active, client, status(client), expected.get(client, 0.0)) for client in listed},
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


def mean_loss(active: ActiveRound, verdict: Verdict) -> float:
    """Mean moving loss of the clients that count, in id order; NaN when nobody does."""
    losses = [active.reports[client].moving_loss for client in sorted(verdict.kept)]
    return sum(losses) / len(losses) if losses else float("nan")


def utilities(active: ActiveRound) -> dict[str, dict[int, float]]:
    """What the policy expected of each client, and what came of it, under the family's keys.

    Who was not trained keeps the utility it had (Oort, PyramidFL), or has none: 0 (Bliss).
    """
    told: dict[str, dict[int, float]] = {}
    for key, expected in active.plan.predictions.items():
        if key not in UTILITY_KEYS:
            continue  # a policy of one's own
        before, after = UTILITY_KEYS[key]
        keeps = key == "pre_util"
        told[before] = dict(expected)
        told[after] = {
            client: _measured_utility(active, client, otherwise=utility if keeps else 0.0)
            for client, utility in expected.items()
        }
    return told


def _measured_utility(active: ActiveRound, client: int, otherwise: float) -> float:
    report = active.reports.get(client)
    return report.utility if report is not None and report.success else otherwise


def client_times(active: ActiveRound, clients: Iterable[int] | None = None) -> dict[int, ClientTimes]:
    """What each client took, of those given or of all whose device could take part."""
    listed = active.plan.times if clients is None else clients
    return {client: _times_of(active, client) for client in listed}


def _times_of(active: ActiveRound, client: int) -> ClientTimes:
    """As planned, or as its executor found it to be where the plan could not know."""
    planned = active.plan.times[client]
    report = active.reports.get(client)
    if report is None:
        return ClientTimes(planned.download_s, planned.compute_s, planned.upload_s)
    return ClientTimes(
        download_s=planned.download_s or report.download_s,
        compute_s=planned.compute_s or report.compute_s,
        upload_s=planned.upload_s or report.upload_s,
        steps=report.steps - report.steps_phase2,
        steps_phase2=report.steps_phase2,
        dropout_fraction=report.dropout_fraction,
    )


def _planned(plan: RoundPlan, client: int) -> ClientTimes:
    planned, task = plan.times[client], plan.tasks.get(client)
    if task is None:
        return ClientTimes(planned.download_s, planned.compute_s, planned.upload_s)
    steps, dropout = task.steps, task.dropout_fraction
    return ClientTimes(planned.download_s, planned.compute_s, planned.upload_s, steps, dropout_fraction=dropout)


def _outcome(active: ActiveRound, client: int, status: Status, predicted_utility: float) -> ClientOutcome:
    times = _times_of(active, client)
    report = active.reports.get(client)
    if report is None:
        return ClientOutcome(
            times, status=status, predicted_utility=predicted_utility, executor_id=active.executor_of(client)
        )
    return ClientOutcome(
        times=times,
        status=status,
        predicted_utility=predicted_utility,
        computed_utility=report.utility,
        loss=report.moving_loss,
        samples=report.trained_samples,
        delta_norm=report.delta_norm,
        executor_id=active.executor_of(client),
    )
