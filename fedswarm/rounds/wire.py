"""Between round messages and ``fedswarm.v1``: the only place where the two meet.

What comes from the wire is checked here for its form: names, finite numbers. Whether it makes sense at the moment,
whose lease it is or which blocks were asked for, is for the round machine to judge.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fedswarm import events
from fedswarm.errors import WireError
from fedswarm.models.layout import Layout
from fedswarm.rounds.messages import (
    ClientReport,
    ExecutorJoined,
    OrderSum,
    RequestInitialModel,
    SendTest,
    SendTrain,
    SumPart,
)
from fedswarm.rounds.plan import PlannedTask
from fedswarm.swarm.slices import UNKNOWN_RATES, Rates
from fedswarm.training.task import BlockResult
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import common_pb2

PROTOCOL: Final = 1
SOURCE: Final = "aggregator"  # the name under which the aggregator publishes model versions
EXECUTOR_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LONGEST_ERROR: Final = 2_000
# The message and the value have the same fields, by design.
REPORT_FIELDS: Final = tuple(field.name for field in dataclasses.fields(ClientReport))


@dataclass(frozen=True)
class Registration:
    """An executor's first message, checked."""

    joined: ExecutorJoined
    job_name: str
    job_digest: str
    rates: Rates


def registration_message(
    executor: str,
    target: str,
    layout: Layout,
    clients: dict[int, int],
    test_blocks: int,
    job_name: str,
    job_digest: str,
    rates: Rates = UNKNOWN_RATES,
) -> pb.ExecutorMessage:
    """What an executor says first."""
    return pb.ExecutorMessage(
        event=events.CLIENT_CONNECT,
        registration=pb.Registration(
            protocol=PROTOCOL,
            job=job_name,
            executor_id=executor,
            peer=common_pb2.PeerAddress(peer_id=executor, target=target),
            layout_json=layout.to_json(),
            job_digest=job_digest,
            clients=[pb.ClientInfo(client_id=client, samples=samples) for client, samples in clients.items()],
            test_blocks=test_blocks,
            up_bps=rates.up_bps or 0.0,
            down_bps=rates.down_bps or 0.0,
        ),
    )


def read_registration(message: pb.ExecutorMessage) -> Registration:
    """Checks an executor's first message; raises :class:`WireError` unless it is a sound registration."""
    if message.WhichOneof("body") != "registration":
        raise WireError(f"an executor's first message must be a registration, not {message.WhichOneof('body')!r}")
    body = message.registration
    if body.protocol != PROTOCOL:
        raise WireError(f"the executor speaks protocol {body.protocol}, this aggregator {PROTOCOL}: update the older")
    if not EXECUTOR_NAME.fullmatch(body.executor_id) or body.executor_id == SOURCE:
        raise WireError(f"{body.executor_id!r} cannot name an executor: give it a number, or a short name of its own")
    if not body.peer.target or not body.clients:
        raise WireError(f"executor {body.executor_id} must register with an address and at least one client")
    joined = ExecutorJoined(
        executor=body.executor_id,
        target=body.peer.target,
        layout=Layout.from_json(body.layout_json),
        clients={client.client_id: client.samples for client in body.clients},
        test_blocks=body.test_blocks,
    )
    return Registration(joined, body.job, body.job_digest, _read_rates(body))


def _read_rates(body: pb.Registration) -> Rates:
    for bps in (body.up_bps, body.down_bps):
        if not 0 <= bps < math.inf:
            raise WireError(f"executor {body.executor_id} says its link bears {bps} bit/s: give 0 if you do not know")
    return Rates(body.up_bps or None, body.down_bps or None)


def train_message(order: SendTrain) -> pb.AggregatorMessage:
    """A lease of training."""
    lease = pb.TrainLease(
        lease_id=order.lease_id,
        round=order.round_index,
        learning_rate=order.learning_rate,
        clients=[_task(task) for task in order.tasks],
    )
    return pb.AggregatorMessage(event=events.CLIENT_TRAIN, train=lease)


def _task(task: PlannedTask) -> pb.ClientTask:
    if task.budget_s is None:
        return pb.ClientTask(client_id=task.client_id, steps=task.steps, dropout_fraction=task.dropout_fraction)
    budget = pb.TimeBudget(start_s=task.start_s, budget_s=task.budget_s)
    return pb.ClientTask(client_id=task.client_id, steps=task.steps, budget=budget)


def read_tasks(lease: pb.TrainLease) -> list[PlannedTask]:
    """The tasks of a lease of training."""
    return [
        PlannedTask(task.client_id, task.steps, task.budget.start_s, task.budget.budget_s)
        if task.HasField("budget")
        else PlannedTask(task.client_id, task.steps, dropout_fraction=task.dropout_fraction)
        for task in lease.clients
    ]


def model_test_message(order: SendTest) -> pb.AggregatorMessage:
    """A lease of testing."""
    lease = pb.TestLease(lease_id=order.lease_id, round=order.version, blocks=order.blocks)
    return pb.AggregatorMessage(event=events.MODEL_TEST, test=lease)


def upload_message(order: OrderSum, part: SumPart) -> pb.AggregatorMessage:
    """The verdict for one executor: sum these updates with these shares."""
    body = pb.UploadOrder(
        order_id=order.order_id,
        round=order.round_index,
        lease_ids=part.lease_ids,
        clients=[pb.ClientWeight(client_id=client, weight=share) for client, share in part.shares],
        is_part=len(order.parts) > 1,
    )
    return pb.AggregatorMessage(event=events.UPLOAD_MODEL, upload=body)


def initial_model_message(request: RequestInitialModel) -> pb.AggregatorMessage:
    """The wish for the initial model."""
    body = pb.UploadOrder(order_id=request.order_id, initial_model=True)
    return pb.AggregatorMessage(event=events.UPLOAD_MODEL, upload=body)


def train_report_message(lease_id: int, reports: Iterable[ClientReport]) -> pb.ExecutorMessage:
    """How a lease of training went."""
    clients = [
        pb.ClientReport(**{**dataclasses.asdict(report), "error": report.error[:LONGEST_ERROR]}) for report in reports
    ]
    body = pb.TrainReport(lease_id=lease_id, clients=clients)
    return pb.ExecutorMessage(event=events.CLIENT_TRAIN, train_report=body)


def read_train_report(body: pb.TrainReport) -> tuple[ClientReport, ...]:
    """The reports of a lease; one with numbers that are not finite becomes a failure."""
    return tuple(_read_client_report(report) for report in body.clients)


def _read_client_report(message: pb.ClientReport) -> ClientReport:
    values = {field: getattr(message, field) for field in REPORT_FIELDS}
    numbers = {field: value for field, value in values.items() if isinstance(value, float)}
    if not all(map(math.isfinite, numbers.values())):
        values["error"] = values["error"] or f"numbers that are not finite: {numbers}"
        values["success"] = False
        values |= dict.fromkeys(numbers, 0.0)
    return ClientReport(**values)


def model_test_report_message(lease_id: int, blocks: Iterable[BlockResult]) -> pb.ExecutorMessage:
    """How a lease of testing went."""
    rows = [
        pb.TestBlock(block=b.block, samples=b.samples, top1=b.top1, top5=b.top5, loss_sum=b.loss_sum) for b in blocks
    ]
    body = pb.TestReport(lease_id=lease_id, blocks=rows)
    return pb.ExecutorMessage(event=events.MODEL_TEST, test_report=body)


def read_test_report(body: pb.TestReport) -> tuple[BlockResult, ...]:
    """The blocks of a test report."""
    return tuple(BlockResult(b.block, b.samples, b.top1, b.top5, b.loss_sum) for b in body.blocks)
