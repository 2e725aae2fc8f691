"""The conductor with guests that do what a test says: models that come late, executors that go, runs that stop."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from fedswarm import events
from fedswarm.aggregation.server_algorithm import FedAvg, ServerState
from fedswarm.rounds import messages as msg
from fedswarm.v1 import aggregator_pb2 as pb
from fedswarm.v1 import common_pb2
from services.aggregator.errands import Errand

INITIAL = np.array([1, 2, 3, 4], dtype=np.float32)
UPDATE = np.array([0.5, 0.25, 0, -1])


def checkpoints(house: Any) -> dict[str, tuple[np.ndarray, str]]:
    """Weights and recorded version of each checkpoint, by file name."""
    found = {}
    for path in sorted((house.folder / "checkpoints").glob("*.safetensors")):
        with safe_open(path, "numpy") as file:
            found[path.name] = (file.get_tensor("w"), file.metadata()["version"])
    return found


def assert_saved(house: Any, version: int, weights: np.ndarray) -> None:
    ((name, (saved, recorded)),) = checkpoints(house).items()
    assert (name, recorded) == (f"model-{version:05d}.safetensors", str(version))
    np.testing.assert_array_equal(saved, weights)


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.002)


async def test_a_run_of_one_round_saves_the_stepped_model(house: Any) -> None:
    guest = await house.guest()
    await guest.play()
    assert await house.running == msg.Finish("finished")
    assert_saved(house, 1, INITIAL + UPDATE.astype(np.float32))


async def test_every_event_sent_to_an_executor_has_its_line_in_the_text_log(house: Any) -> None:
    guest = await house.guest("7")
    await guest.play()
    await house.running
    issued = re.findall(r"Issue EVENT \((\w+)\) to EXECUTOR \(7\)", (house.folder / "text.log").read_text())
    assert issued[0] == events.CLIENT_CONNECT
    assert issued[-1] == events.SHUT_DOWN
    assert {events.UPDATE_MODEL, events.CLIENT_TRAIN, events.MODEL_TEST, events.UPLOAD_MODEL} <= set(issued)


async def test_sums_of_several_executors_are_added(build: Any) -> None:
    house = await build(cluster={"executors": 2})
    guests = [await house.guest(name) for name in ("1", "2")]
    await guests[0].start_model()

    async def work(guest: Any) -> None:
        while True:
            message = await guest.call.read()
            match message.WhichOneof("body"):
                case "test":
                    report = pb.TestReport(lease_id=message.test.lease_id)
                    report.blocks.add(block=0, samples=10)
                    await guest.say(pb.ExecutorMessage(event=events.MODEL_TEST, test_report=report))
                case "train":
                    report = pb.TrainReport(lease_id=message.train.lease_id)
                    for task in message.train.clients:
                        report.clients.add(client_id=task.client_id, success=True, trained_samples=10)
                    await guest.say(pb.ExecutorMessage(event=events.CLIENT_TRAIN, train_report=report))
                case "upload":
                    share = sum(client.weight for client in message.upload.clients)
                    await guest.deliver(message.upload, share * UPDATE)
                case "shutdown":
                    return

    await asyncio.gather(*map(work, guests))
    assert (await house.running).reason == "finished"
    assert_saved(house, 1, INITIAL + UPDATE.astype(np.float32))


async def test_discarded_sums_do_not_reach_the_model(house: Any) -> None:
    guest = await house.guest()
    await guest.start_model()
    await guest.test()
    await guest.train()
    order = await guest.hear("upload")
    house.conductor._total = np.full(4, 100.0)
    house.conductor._instructions.put_nowait(msg.DiscardSums())
    await guest.deliver(order, UPDATE)
    await guest.test()
    await guest.hear("shutdown")
    assert_saved(house, 1, INITIAL + UPDATE.astype(np.float32))


# Initial models that come late, or never


async def test_a_late_initial_model_is_dropped_and_the_run_keeps_its_own(house: Any) -> None:
    """It used to overwrite the trained model without a word."""
    guest = await house.guest()
    await guest.start_model()
    await guest.test()
    house.conductor._fetched[99] = np.zeros(4, dtype=np.float32)
    house.conductor.deliver(msg.InitialModelArrived(99))
    await guest.train()
    await guest.sum_up()
    await guest.test()
    await guest.hear("shutdown")
    assert (await house.running).reason == "finished"
    assert_saved(house, 1, INITIAL + UPDATE.astype(np.float32))
    assert house.conductor._fetched == {}


async def test_a_lost_executors_fetch_is_cancelled_and_another_is_asked_for_the_model(build: Any) -> None:
    house = await build(cluster={"executors": 2})
    first, second = await house.guest("1"), await house.guest("2")
    asked = await first.hear("upload")
    await until(lambda: Errand("1", asked.order_id) in house.conductor._uploads.errands._waiting)
    await first.leave()
    again = await second.hear("upload")
    assert again.initial_model and again.order_id != asked.order_id
    await until(lambda: set(house.conductor._fetches.values()) == {("2",)})
    assert list(house.conductor._uploads.errands._waiting) == [Errand("2", again.order_id)]
    await second.deliver(again, INITIAL)
    assert (await second.hear("model")).manifest.round == 0


async def test_an_order_that_its_executor_fails_is_given_again(house: Any) -> None:
    guest = await house.guest()
    asked = await guest.hear("upload")
    await guest.fail(order_id=asked.order_id)
    again = await guest.hear("upload")
    assert again.initial_model and again.order_id != asked.order_id


async def test_an_initial_model_of_another_size_is_a_failure_of_its_executor(house: Any) -> None:
    guest = await house.guest()
    for _ in range(3):
        await guest.deliver(await guest.hear("upload"), np.zeros(9, dtype=np.float32))
    shutdown = await guest.hear("shutdown")
    assert shutdown.refused and "does not fit a layout of 4" in shutdown.reason


async def test_a_broken_manifest_is_a_failure_of_its_executor(house: Any) -> None:
    guest = await house.guest()
    for _ in range(3):
        asked = await guest.hear("upload")
        upload = pb.Upload(order_id=asked.order_id, manifest=common_pb2.Manifest(job="toy", source="1"))
        await guest.say(pb.ExecutorMessage(event=events.UPLOAD_MODEL, upload=upload))
    assert "3 failures" in (await guest.hear("shutdown")).reason


async def test_an_order_that_takes_too_long_is_a_failure(build: Any) -> None:
    house = await build(cluster={"lease_timeout_s": 0.02})
    guest = await house.guest()
    asked = await guest.hear("upload")
    assert (await guest.hear("upload")).order_id != asked.order_id


async def test_an_upload_nobody_asked_for_changes_nothing(house: Any) -> None:
    guest = await house.guest()
    await guest.deliver(pb.UploadOrder(order_id=77), INITIAL)
    await guest.fail(order_id=78)
    await guest.fail(lease_id=79)
    await guest.play()
    assert (await house.running).reason == "finished"


async def test_one_executor_cannot_answer_anothers_order(build: Any) -> None:
    house = await build(cluster={"executors": 2})
    first, second = await house.guest("1"), await house.guest("2")
    asked = await first.hear("upload")
    await until(lambda: Errand("1", asked.order_id) in house.conductor._uploads.errands._waiting)
    await second.fail(order_id=asked.order_id)
    await second.deliver(asked, np.zeros(9, dtype=np.float32))
    await second.say(pb.ExecutorMessage(event=events.DUMMY_EVENT, traffic=pb.Traffic(received_bytes=5)))
    await until(lambda: house.conductor._sessions["2"].traffic.received_bytes == 5)
    await first.deliver(asked, INITIAL)
    assert (await first.hear("model")).manifest.round == 0


# Stops


class SlowAlgorithm(FedAvg):
    """Steps when the test says so."""

    def __init__(self) -> None:
        self.stepping, self.go_on = threading.Event(), threading.Event()

    def apply(self, state: ServerState, mean_update: np.ndarray) -> ServerState:
        self.stepping.set()
        assert self.go_on.wait(20)
        return super().apply(state, mean_update)


async def test_a_stop_while_stepping_saves_the_version_that_is_held(house: Any) -> None:
    """The stepped model used to be saved as version 0."""
    algorithm = house.conductor._algorithm = SlowAlgorithm()
    guest = await house.guest()
    await guest.start_model()
    await guest.test()
    await guest.train()
    await guest.sum_up()
    await until(algorithm.stepping.is_set)
    await house.stub.Stop(pb.StopRequest(reason="enough"))
    algorithm.go_on.set()
    await guest.hear("shutdown")
    assert await house.running == msg.Finish("stopped")
    assert_saved(house, 1, INITIAL + UPDATE.astype(np.float32))


async def test_a_stop_during_a_round_saves_the_model_it_began_with(house: Any) -> None:
    guest = await house.guest()
    await guest.start_model()
    await guest.hear("train")
    await house.stub.Stop(pb.StopRequest())
    assert (await guest.hear("shutdown")).refused is False
    assert (await house.running).reason == "stopped"
    assert_saved(house, 0, INITIAL)
    (end,) = house.tagged("SHUTDOWN")
    assert (end["reason"], end["message"]) == ("stopped", "asked to stop")


async def test_a_stop_before_there_is_a_model_saves_nothing(house: Any) -> None:
    await house.stub.Stop(pb.StopRequest(reason="enough"))
    assert (await house.running).reason == "stopped"
    assert checkpoints(house) == {}


# Faults of ours


async def test_a_background_task_that_dies_ends_the_run_with_its_error(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(*_: Any, **__: Any) -> np.ndarray:
        raise KeyError("a bug of ours")

    monkeypatch.setattr(house.node, "fetch", fetch)
    guest = await house.guest()
    await guest.start_model()
    await guest.hear("shutdown")
    finish = await house.running
    assert finish.reason == "failed" and "internal error: KeyError: 'a bug of ours'" in str(finish.error)


async def test_the_ticker_does_not_die_in_silence(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(event: msg.Event, now_s: float) -> list[msg.Instruction]:
        raise IndexError("a bug of ours")

    monkeypatch.setattr(house.conductor.machine, "handle", handle)
    assert "internal error: IndexError" in str((await house.running).error)


# Executors that go and come back


async def test_a_silent_executor_is_lost(house: Any) -> None:
    guest = await house.guest()
    await guest.hear("welcome")
    house.clock.advance(house.conductor.job.cluster.dead_after_s + 1)
    await guest.ended()
    await until(lambda: house.tagged("EXECUTOR_LOST"))
    assert "silent for 7.0 s" in house.tagged("EXECUTOR_LOST")[0]["reason"]


async def test_heartbeats_keep_an_executor(house: Any) -> None:
    guest = await house.guest()
    await guest.hear("welcome")
    for _ in range(4):
        house.clock.advance(house.conductor.job.cluster.dead_after_s - 1)
        await guest.say(pb.ExecutorMessage(event=events.DUMMY_EVENT))
        session = house.conductor._sessions["1"]
        await until(lambda session=session: session.heard_s == house.clock.now_s())
    assert house.tagged("EXECUTOR_LOST") == []


async def test_an_executor_that_registers_again_replaces_its_former_session(house: Any) -> None:
    former = await house.guest("1")
    await former.start_model()
    await former.hear("train")
    await former.node.close()
    again = await house.guest("1")
    await former.ended()
    assert (await again.hear("model")).manifest.round == 0
    await again.test()
    await again.train()
    await again.sum_up()
    await again.test()
    await again.hear("shutdown")
    assert (await house.running).reason == "finished"
    assert house.tagged("EXECUTOR_LOST")[0]["reason"] == "it registered again"
    assert_saved(house, 1, INITIAL + UPDATE.astype(np.float32))


async def test_who_does_not_fit_the_run_is_sent_away(build: Any) -> None:
    house = await build(cluster={"executors": 3})
    await (await house.guest("1")).hear("welcome")
    stranger = await house.guest("2", clients={5: 10})
    shutdown = await stranger.hear("shutdown")
    assert shutdown.refused and "other clients" in shutdown.reason
    await stranger.ended()
    assert list(house.conductor._sessions) == ["1"]


async def test_bytes_of_sessions_that_ended_still_count(house: Any) -> None:
    first = await house.guest("1")
    await first.say(pb.ExecutorMessage(event=events.DUMMY_EVENT, traffic=pb.Traffic(received_bytes=70, wasted_bytes=7)))
    await until(lambda: house.conductor._sessions and house.conductor._sessions["1"].traffic.received_bytes)
    await first.leave()
    await until(lambda: not house.conductor._sessions)
    second = await house.guest("1")
    await second.say(pb.ExecutorMessage(event=events.DUMMY_EVENT, traffic=pb.Traffic(received_bytes=5, wasted_bytes=1)))
    await until(lambda: house.conductor._sessions and house.conductor._sessions["1"].traffic.received_bytes)
    traffic = house.conductor._traffic()
    assert (traffic.peers, traffic.wasted) == (75, 8)
