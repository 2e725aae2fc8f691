import math
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fedswarm.data.dataset import Dataset, Split
from fedswarm.devices.static import StaticClientTime
from fedswarm.jobs.schema import AdaptiveSection, DataSection, Job, ModelSection, TrainingSection
from fedswarm.models.sparse_update import SparseUpdate, kept_weights, top_k
from fedswarm.training.sequential import SequentialEngine
from fedswarm.training.steps import draw_batches
from fedswarm.training.task import ClientTask, TimeBudget

STEP_S = 2.0
UPLOAD_S = 30.0


def dataset():
    draws = torch.Generator().manual_seed(11)
    labels = torch.arange(200) % 3
    split = Split(torch.randn(200, 1, 6, 6, generator=draws) + labels[:, None, None, None], labels)
    return Dataset("toy", split, split, classes=3)


def engine_for(model="mlp", clock=None, proximal_mu=0.0, **rules):
    training = TrainingSection(
        local_steps=4, batch_size=8, proximal_mu=proximal_mu, adaptive=AdaptiveSection(enabled=True, **rules)
    )
    job = Job(data=DataSection(clients=10), model=ModelSection(name=model), training=training)
    engine = SequentialEngine(job, dataset(), clock)
    engine.load(engine.initial_weights())
    return engine


def device_for(engine):
    """A device on which a step takes two seconds and the upload of everything thirty."""
    layout = engine.layout
    return StaticClientTime(
        compute_flops=3 * layout.size * 8 / STEP_S, link_mbps=2 * 8 * layout.nbytes / 1e6 / UPLOAD_S
    )


def task(engine, budget_s, client_id=3, device=None):
    budget = TimeBudget(100.0, budget_s, device or device_for(engine))
    return ClientTask(client_id, 1, 0, 0.05, budget)


def plain(steps, client_id=3):
    return ClientTask(client_id, 1, steps, 0.05)


def same(first, second):
    numbers = ("utility", "moving_loss", "delta_norm", "steps", "compute_s", "upload_s", "dropout_fraction")
    return dense(first).tobytes() == dense(second).tobytes() and all(
        getattr(first, name) == getattr(second, name) for name in numbers
    )


def dense(update):
    return update.delta.dense() if isinstance(update.delta, SparseUpdate) else update.delta


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(36)
        self.last = nn.Linear(36, 3)

    def forward(self, inputs):
        return self.last(self.norm(inputs.flatten(1)))


def normed(input_shape, classes):
    return Normed()


@pytest.fixture(autouse=True)
def own_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "own_adaptive", sys.modules[__name__])


@pytest.mark.parametrize("model", ["mlp", "own_adaptive:normed"])
def test_what_is_sent_is_the_top_of_the_update_after_as_many_steps(model):
    """D3: the compressed update is what leaves the client, and the times are those of its bytes."""
    engine = engine_for(model)
    update = engine.train(task(engine, 60.0))
    same_steps = engine.train(plain(update.steps))
    keep = 1 - update.dropout_fraction
    assert 0 < update.dropout_fraction <= 0.7
    expected = top_k(same_steps.delta, keep, engine.layout.trainable_size)
    assert isinstance(update.delta, SparseUpdate)
    assert update.delta.indices.tolist() == expected.indices.tolist()
    assert update.delta.values.tobytes() == expected.values.tobytes()
    assert (update.utility, update.moving_loss) == (same_steps.utility, same_steps.moving_loss)


def test_the_number_of_values_sent_is_exact():
    engine = engine_for("lr", min_payload_frac=0.3)
    update = engine.train(task(engine, 0.5))
    assert update.dropout_fraction == 0.7
    assert update.delta.indices.size == kept_weights(engine.layout.trainable_size, 0.3)


def test_float_buffers_are_sent_whole():
    engine = engine_for("own_adaptive:normed")
    update = engine.train(task(engine, 0.5))
    first = engine.layout.trainable_size
    whole = engine.train(plain(1)).delta
    assert isinstance(update.delta, SparseUpdate)
    np.testing.assert_array_equal(dense(update)[first:], whole[first:])


@pytest.mark.parametrize("rules", [{}, {"run_phase_2": False}])
def test_with_time_for_all_steps_both_paths_end_in_the_same_bits(rules):
    engine = engine_for(max_local_epochs=3, **rules)
    update = engine.train(task(engine, math.inf))
    fixed = engine.train(plain(6))
    assert update.steps == 6
    assert isinstance(update.delta, np.ndarray)
    assert same(update, replace(fixed, compute_s=6 * STEP_S, upload_s=UPLOAD_S))


@pytest.mark.parametrize("rules", [{}, {"run_phase_2": False}, {"recheck_steps": 1}])
def test_steps_reported_are_optimizer_steps_executed(rules, monkeypatch):
    """D5."""
    engine = engine_for(**rules)
    executed = []
    step = engine._sgd.step
    monkeypatch.setattr(engine._sgd, "step", lambda *arguments: (executed.append(1), step(*arguments)))
    update = engine.train(task(engine, 70.0))
    assert len(executed) == update.steps == update.steps_phase1 + update.steps_phase2 > 0
    assert update.compute_s == pytest.approx(update.steps * STEP_S)
    assert update.trained_samples == update.steps * 8


def test_what_was_trained_before_does_not_matter():
    engine = engine_for("own_adaptive:normed")
    first = engine.train(task(engine, 60.0, client_id=5))
    engine.train(task(engine, 40.0, client_id=2))
    engine.train(plain(3))
    assert first.success
    assert same(engine.train(task(engine, 60.0, client_id=5)), first)
    assert same(engine_for("own_adaptive:normed").train(task(engine, 60.0, client_id=5)), first)


def test_fedprox_pulls_adaptive_clients_too():
    """D15."""
    far, near = (
        engine.train(task(engine, 60.0)).delta_norm
        for engine in (engine_for(max_local_epochs=5), engine_for(max_local_epochs=5, proximal_mu=1.0))
    )
    assert near < far


def test_the_utility_is_over_all_steps():
    engine, data = engine_for("lr", max_local_epochs=1, run_phase_2=False), dataset()
    unmoved = replace(task(engine, 1e4), learning_rate=1e-30)
    weights = engine.layout.split(engine.initial_weights())
    shard = engine._partition.samples(3)
    seen = np.concatenate(list(draw_batches(TrainingSection(local_steps=2, batch_size=8), shard, 2, 233, 1, 3)))
    scores = data.train.inputs[seen].flatten(1) @ torch.from_numpy(weights["1.weight"]).T
    scores += torch.from_numpy(weights["1.bias"])
    losses = cross_entropy(scores, data.train.labels[seen], reduction="none").numpy()
    assert len(seen) == 16
    assert engine.train(unmoved).utility == pytest.approx(16 * np.sqrt(np.mean(losses**2)), rel=1e-5)


@dataclass(frozen=True)
class Leaving(StaticClientTime):
    """A device that goes at an instant for good."""

    leaves_s: float = 0.0

    def active_throughout(self, start_s, end_s):
        return end_s <= self.leaves_s


@pytest.mark.parametrize(
    ("leaves_s", "doing", "compute_s", "steps"), [(115.0, "training", 10.0, 5), (131.0, "uploading", 30.0, 15)]
)
def test_a_client_that_goes_offline_fails_with_its_times_so_far(leaves_s, doing, compute_s, steps):
    engine = engine_for(run_phase_2=False)
    device = device_for(engine)
    leaving = Leaving(device.compute_flops, device.link_mbps, leaves_s=leaves_s)
    update = engine.train(task(engine, 60.0, device=leaving))
    assert (update.success, update.delta, update.went_away) == (False, None, True)
    assert f"offline while {doing}" in update.error
    assert (update.steps, update.compute_s) == (steps, pytest.approx(compute_s))


def test_a_client_without_time_fails_and_says_so():
    engine = engine_for()
    update = engine.train(task(engine, 0.0))
    assert (update.success, update.steps, update.utility) == (False, 0, 0.0)
    assert "raise selection.t_budget_s" in update.error


def test_a_diverging_client_fails():
    engine = engine_for("mlp", max_local_epochs=20)
    diverging = replace(task(engine, 200.0), learning_rate=1e30)
    update = engine.train(diverging)
    assert (update.success, update.went_away) == (False, False)
    assert "lower training.learning_rate" in update.error


class Ticking:
    """A clock that is five seconds on whenever it is read."""

    def __init__(self):
        self.reads = 0

    def now_s(self):
        self.reads += 1
        return 5.0 * self.reads


def test_a_measuring_engine_reports_its_clock():
    update = engine_for(clock=Ticking()).train(plain(3))
    assert (update.compute_s, update.upload_s, update.dropout_fraction) == (5.0, 0.0, 0.0)


def test_simulated_time_is_not_measured():
    clock = Ticking()
    engine = engine_for(clock=clock)
    assert engine.train(task(engine, 60.0)).success
    assert clock.reads == 0
