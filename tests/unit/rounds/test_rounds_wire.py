from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm import events
from fedswarm.errors import FedswarmError, ModelError, WireError
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.rounds.plan import PlannedTask
from fedswarm.swarm.slices import Rates
from fedswarm.training.task import BlockResult
from fedswarm.v1 import aggregator_pb2 as pb

uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
FLOAT_FIELDS = ("moving_loss", "utility", "delta_norm", "download_s", "compute_s", "upload_s", "dropout_fraction")

reports = st.builds(
    msg.ClientReport,
    client_id=uint32,
    success=st.booleans(),
    error=st.text(max_size=50),
    steps=uint32,
    trained_samples=uint32,
    steps_phase1=uint32,
    steps_phase2=uint32,
    went_away=st.booleans(),
    **dict.fromkeys(FLOAT_FIELDS, finite),
)
fractions = st.floats(0, 0.99)
tasks = st.builds(PlannedTask, uint32, uint32, dropout_fraction=fractions) | st.builds(
    PlannedTask, uint32, uint32, start_s=finite, budget_s=finite
)
LAYOUT = Layout((TensorSpec("a", (2, 3)), TensorSpec("b", (4,), trainable=False)))


def over_the_wire(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())


def registration(**changes: Any) -> pb.ExecutorMessage:
    fields: dict[str, Any] = {
        "executor": "7",
        "target": "h:1",
        "layout": LAYOUT,
        "clients": {1: 10, 2: 0},
        "test_blocks": 3,
        "job_name": "toy",
        "job_digest": "d",
    }
    return wire.registration_message(**{**fields, **changes})


# Round trips


@given(lease_id=uint64, given_reports=st.lists(reports, max_size=4))
def test_training_reports_survive_the_wire(lease_id: int, given_reports: list[msg.ClientReport]) -> None:
    message = over_the_wire(wire.train_report_message(lease_id, given_reports))
    assert message.train_report.lease_id == lease_id
    assert wire.read_train_report(message.train_report) == tuple(given_reports)


@given(lease_id=uint64, round_index=uint32, rate=finite, given_tasks=st.lists(tasks, max_size=4))
def test_training_leases_survive_the_wire(
    lease_id: int, round_index: int, rate: float, given_tasks: list[PlannedTask]
) -> None:
    order = msg.SendTrain("7", lease_id, round_index, rate, tuple(given_tasks))
    lease = over_the_wire(wire.train_message(order)).train
    assert (lease.lease_id, lease.round, lease.learning_rate) == (lease_id, round_index, rate)
    assert wire.read_tasks(lease) == given_tasks


@given(blocks=st.lists(st.builds(BlockResult, uint32, uint32, uint32, uint32, finite), max_size=4))
def test_test_reports_survive_the_wire(blocks: list[BlockResult]) -> None:
    message = over_the_wire(wire.model_test_report_message(5, blocks))
    assert wire.read_test_report(message.test_report) == tuple(blocks)


def test_a_budget_of_zero_seconds_is_still_a_budget() -> None:
    order = msg.SendTrain("7", 1, 0, 0.1, (PlannedTask(3, 0, start_s=0.0, budget_s=0.0), PlannedTask(4, 2)))
    assert [task.budget_s for task in wire.read_tasks(over_the_wire(wire.train_message(order)).train)] == [0.0, None]


def test_an_order_names_its_leases_and_shares() -> None:
    part = msg.SumPart("7", (1, 2), ((5, 0.25), (6, 0.75)))
    message = over_the_wire(wire.upload_message(msg.OrderSum(9, 4, (part,)), part))
    order = message.upload
    assert not order.is_part
    assert (message.event, order.order_id, order.round, order.initial_model) == (events.UPLOAD_MODEL, 9, 4, False)
    assert list(order.lease_ids) == [1, 2]
    assert [(client.client_id, client.weight) for client in order.clients] == [(5, 0.25), (6, 0.75)]


def test_registrations_survive_the_wire() -> None:
    read = wire.read_registration(over_the_wire(registration()))
    assert read == wire.Registration(msg.ExecutorJoined("7", "h:1", LAYOUT, {1: 10, 2: 0}, 3), "toy", "d", Rates())


# Hostile numbers


@pytest.mark.parametrize("field", FLOAT_FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_makes_the_report_a_failure(field: str, value: float) -> None:
    honest = msg.ClientReport(3, True, moving_loss=1.0, steps=4, trained_samples=8)
    message = wire.train_report_message(1, [replace(honest, **{field: value}), honest])
    bad, good = wire.read_train_report(over_the_wire(message).train_report)
    assert not bad.success and f"'{field}': {value}" in bad.error
    assert all(math.isfinite(getattr(bad, name)) for name in FLOAT_FIELDS)
    assert (bad.client_id, good) == (3, honest)


def test_the_clients_own_error_is_kept_when_its_numbers_are_not_finite() -> None:
    message = wire.train_report_message(1, [msg.ClientReport(3, False, "diverged", moving_loss=math.nan)])
    assert wire.read_train_report(message.train_report)[0].error == "diverged"


def test_long_errors_are_cut() -> None:
    message = wire.train_report_message(1, [msg.ClientReport(3, False, "x" * 10_000)])
    assert len(message.train_report.clients[0].error) == wire.LONGEST_ERROR


# Registrations that are refused


@pytest.mark.parametrize("name", ["", "aggregator", "a/b", "../x", "a b", ".hidden", "-flag", "é", "x" * 65, "1\n"])
def test_names_that_cannot_be_a_peers_are_refused(name: str) -> None:
    with pytest.raises(WireError, match="cannot name an executor"):
        wire.read_registration(registration(executor=name))


@pytest.mark.parametrize("name", ["1", "edge-7", "a.b_c", "X" * 64])
def test_ordinary_names_are_welcome(name: str) -> None:
    assert wire.read_registration(registration(executor=name)).joined.executor == name


@pytest.mark.parametrize("changes", [{"clients": {}}, {"target": ""}])
def test_an_executor_needs_an_address_and_clients(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="with an address and at least one client"):
        wire.read_registration(registration(**changes))


def test_another_protocol_is_refused_with_both_numbers() -> None:
    message = registration()
    message.registration.protocol = 2
    with pytest.raises(WireError, match=r"speaks protocol 2, this aggregator 1"):
        wire.read_registration(message)


def test_another_first_message_is_refused() -> None:
    with pytest.raises(WireError, match="must be a registration, not 'train_report'"):
        wire.read_registration(wire.train_report_message(1, []))


HOSTILE_LAYOUTS = [
    "",
    "{",
    "3",
    "null",
    '[["w"]]',
    '[["w",[-1],true]]',
    '[["w",["x"],true]]',
    '[["w",[Infinity],true]]',
]


@pytest.mark.parametrize("text", [*HOSTILE_LAYOUTS, "[" * 100_000])
def test_what_is_no_layout_is_refused(text: str) -> None:
    message = registration()
    message.registration.layout_json = text
    with pytest.raises(ModelError, match="a weight layout"):
        wire.read_registration(message)


@given(st.binary(max_size=200))
def test_no_bytes_read_as_a_registration_raise_anything_but_an_error_of_ours(data: bytes) -> None:
    message = pb.ExecutorMessage(registration=pb.Registration(protocol=wire.PROTOCOL))
    try:
        message.registration.MergeFromString(data)
    except Exception:  # not protobuf at all: gRPC refuses it before we see it
        return
    try:
        wire.read_registration(message)
    except FedswarmError:
        return
