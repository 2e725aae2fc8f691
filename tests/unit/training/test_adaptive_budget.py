import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.devices.population import Population
from fedswarm.devices.profile import DeviceProfile
from fedswarm.devices.static import StaticClientTime, StaticDevices
from fedswarm.devices.time_model import Workload, megabits
from fedswarm.devices.traced import TracedDevices
from fedswarm.jobs.schema import AdaptiveSection, DevicesSection
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.training.adaptive_budget import AdaptiveBudget, Measure, Stop, Train
from fedswarm.training.local_work import LocalWork, Payload
from fedswarm.training.task import TimeBudget

VALUES_ALONE = Payload(fixed=0.0)
# One step a second; the whole update takes twenty.
WORK = LocalWork(step_flop=1.0, upload_mbit=20.0)
STEADY = StaticClientTime(compute_flops=1.0, link_mbps=1.0)


@dataclass(frozen=True)
class Changing:
    """Speeds that change every ten seconds, cyclically, and hours of absence; 0 pauses."""

    flops: tuple[float, ...] = (1.0,)
    mbps: tuple[float, ...] = (1.0,)
    away: tuple[tuple[float, float], ...] = ()
    compute_scale: float = 1.0
    network_scale: float = 1.0

    def bandwidth_mbps(self, now_s):
        return self.mbps[int(now_s // 10) % len(self.mbps)]

    def speed_flops(self, now_s):
        return self.flops[int(now_s // 10) % len(self.flops)]

    def finish_compute(self, start_s, flop):
        return self._finish(self.speed_flops, any(self.flops), start_s, flop)

    def finish_transfer(self, start_s, mbit):
        return self._finish(self.bandwidth_mbps, any(self.mbps), start_s, mbit)

    def active_throughout(self, start_s, end_s):
        return not any(start < end_s and start_s < end for start, end in self.away)

    def _finish(self, rate, ever, now_s, work):
        if not ever:
            return math.inf
        while True:
            next_s = (now_s // 10 + 1) * 10
            done = rate(now_s) * (next_s - now_s)
            if done >= work > 0:
                return now_s + work / rate(now_s)
            if work <= 0:
                return now_s
            now_s, work = next_s, work - done


def growing(measurements):
    return float(measurements)


def followed(
    budget_s, device=STEADY, norm=growing, payload=VALUES_ALONE, most_steps=None, start_s=0.0, work=WORK, **rules
):
    """All decisions for updates whose norm after n measurements is ``norm(n)``."""
    budget = TimeBudget(start_s, budget_s, device)
    decisions = AdaptiveBudget(budget, work, AdaptiveSection(**rules), payload, most_steps).decisions()
    made = [next(decisions)]
    while not isinstance(made[-1], Stop):
        if isinstance(made[-1], Measure):
            made.append(decisions.send(norm(sum(isinstance(d, Measure) for d in made))))
        else:
            made.append(next(decisions))
    with pytest.raises(StopIteration):
        next(decisions)
    return made


def end_of(*args, **rules):
    return followed(*args, **rules)[-1]


def test_the_references_pseudo_trace():
    """Reference 5.2: 80 steps in phase 1, the last possible stop after step 94, the budget spent to the second."""
    *decisions, end = followed(100.0)
    keeps = [(100 - step) / 20 for step in range(81, 95)]
    fine = [decision for keep in keeps for decision in (Train(1), Measure(keep))]
    assert decisions == [Train(5)] * 16 + fine
    assert keeps[0] == 0.95
    assert end == Stop(keep=0.3, compute_s=94.0, upload_s=6.0, steps_phase1=80, steps_phase2=14)


def test_phase_2_ends_when_the_smoothed_gain_is_gone():
    end = end_of(100.0, norm=[0, 5.0, 6.0, 6.0, 9.0].__getitem__, ewma_lambda=0.0)
    assert (end.steps_phase1, end.steps_phase2, end.keep) == (80, 3, 0.85)


def test_the_smoothed_gain_remembers():
    """Gains of 1, -0.1 and -0.9 smooth to 0.3, 0.18 and -0.14."""
    falling = [0, 1.0, 0.9, 0.0].__getitem__
    assert end_of(100.0, norm=falling).steps_phase2 == 3
    assert end_of(100.0, norm=falling, ewma_lambda=0.0).steps_phase2 == 2


def test_a_norm_that_is_no_number_ends_phase_2():
    assert end_of(100.0, norm=lambda _: math.nan).steps_phase2 == 1


def test_without_phase_2_the_leftover_steps_are_trained_at_once():
    *decisions, end = followed(103.0, run_phase_2=False)
    assert decisions == [Train(5)] * 16 + [Train(3)]
    assert end == Stop(keep=1.0, compute_s=83.0, upload_s=20.0, steps_phase1=83)


def test_the_last_block_that_fits_ends_phase_1_even_if_the_device_speeds_up():
    end = end_of(25.9, Changing(flops=(1.0, 10.0)), start_s=5.0, run_phase_2=False)
    assert end.steps_phase1 == 5


def test_with_phase_2_it_takes_the_leftover_steps_one_by_one():
    end = end_of(103.0, norm=[0, 3, 2].__getitem__, ewma_lambda=0.0)
    assert (end.steps_phase1, end.steps_phase2, end.keep) == (80, 2, 1.0)


def test_a_bitmap_leaves_less_for_values_within_the_same_budget():
    end = end_of(100.0, payload=Payload())
    assert end.steps_phase2 == 14
    assert end.keep == 0.3
    assert end.upload_s == pytest.approx(20 * (0.3 + 1 / 32))
    nearly = end_of(100.0, payload=Payload(), norm=[0, 5.0, 1.0].__getitem__, ewma_lambda=0.0)
    assert nearly.keep == pytest.approx(0.9 - 1 / 32)
    assert nearly.compute_s + nearly.upload_s == pytest.approx(100)


@pytest.mark.parametrize("rules", [{}, {"run_phase_2": False}])
def test_a_budget_that_the_download_used_up_trains_nothing_and_fails(rules):
    """Defect D7: a client without steps got the weight of one with all of them."""
    *decisions, end = followed(0.0, **rules)
    assert decisions == []
    assert "time budget too small: 0 s after the download leave no step" in end.error


def test_without_phase_2_a_budget_below_a_step_and_an_upload_fails():
    assert "too small" in end_of(20.5, run_phase_2=False).error


def test_phase_2_takes_one_step_as_long_as_any_time_is_left():
    end = end_of(0.5)
    assert end == Stop(keep=0.3, compute_s=1.0, upload_s=6.0, steps_phase2=1)


@pytest.mark.parametrize("rules", [{}, {"run_phase_2": False}])
def test_steps_may_be_limited(rules):
    *decisions, end = followed(1000.0, most_steps=7, **rules)
    assert sum(d.steps for d in decisions if isinstance(d, Train)) == 7
    assert end.steps_phase1 + end.steps_phase2 == 7
    assert (end.keep, end.upload_s, end.error) == (1.0, 20.0, "")


def test_no_limit_of_time_or_steps_is_refused():
    with pytest.raises(ValueError, match="never end"):
        AdaptiveBudget(TimeBudget(0.0, math.inf, STEADY), WORK, AdaptiveSection(), Payload())


@pytest.mark.parametrize(
    ("left_at_s", "rules", "doing", "compute_s", "steps"),
    [
        (12.0, {}, "training", 10.0, (10, 0)),
        (81.5, {"run_phase_2": False}, "training", 80.0, (80, 0)),
        (82.5, {}, "training", 82.0, (80, 2)),
        (99.0, {}, "uploading", 94.0, (80, 14)),
        (99.0, {"run_phase_2": False}, "uploading", 83.0, (83, 0)),
    ],
)
def test_a_device_that_leaves_fails_in_any_phase_with_its_times_so_far(left_at_s, rules, doing, compute_s, steps):
    device = Changing(away=((left_at_s, left_at_s + 0.1),))
    end = end_of(103.0 if rules else 100.0, device, **rules)
    assert f"went offline while {doing}" in end.error
    assert (end.compute_s, end.upload_s) == (compute_s, 0.0)
    assert (end.steps_phase1, end.steps_phase2) == steps


def test_an_absence_before_and_after_does_no_harm():
    assert end_of(50.0, Changing(away=((0.0, 100.0), (150.0, 200.0))), start_s=100.0).error == ""


@pytest.mark.parametrize(
    ("device", "doing"), [(Changing(flops=(0.0,)), "training"), (Changing(mbps=(0.0,)), "uploading")]
)
def test_a_device_without_any_capacity_fails(device, doing):
    assert f"never finishes {doing}" in end_of(50.0, device).error


def test_a_pause_costs_time_and_no_steps():
    paused = end_of(50.0, Changing(flops=(1.0, 0.0)))
    assert paused.error == ""
    assert paused.steps_phase1 + paused.steps_phase2 < 25


def test_upload_time_follows_the_trace_not_the_moment():
    end = end_of(25.0, Changing(mbps=(1.0, 0.5)), run_phase_2=False)
    assert (end.compute_s, end.upload_s) == (5.0, 25.0)


RATES = st.lists(st.sampled_from([0.0, 0.3, 1.0, 4.0]), min_size=1, max_size=4).map(tuple)
ABSENCES = st.lists(st.tuples(st.floats(0, 90), st.floats(0.1, 9)), max_size=1).map(
    lambda gaps: tuple((start, start + length) for start, length in gaps)
)


@given(
    budget_s=st.floats(0, 120),
    flops=RATES,
    mbps=RATES,
    away=ABSENCES,
    recheck_steps=st.integers(1, 9),
    run_phase_2=st.booleans(),
    most_steps=st.none() | st.integers(1, 60),
    gains=st.lists(st.floats(-1, 2), min_size=1, max_size=5),
)
def test_any_budget_on_any_device(budget_s, flops, mbps, away, recheck_steps, run_phase_2, most_steps, gains):
    device = Changing(flops, mbps, away)
    *decisions, end = followed(
        budget_s,
        device,
        norm=lambda n: sum(gains[i % len(gains)] for i in range(n)),
        most_steps=most_steps,
        recheck_steps=recheck_steps,
        run_phase_2=run_phase_2,
    )
    blocks = [decision.steps for decision in decisions if isinstance(decision, Train)]
    assert sum(blocks) == end.steps_phase1 + end.steps_phase2
    assert sum(isinstance(decision, Measure) for decision in decisions) == end.steps_phase2
    now_s = 0.0
    for steps in blocks:
        assert now_s < budget_s
        now_s = device.finish_compute(now_s, steps)
    assert end.compute_s == pytest.approx(now_s)
    if most_steps is not None:
        assert sum(blocks) <= most_steps
    if not end.error:
        assert sum(blocks) > 0
        assert 0.3 <= end.keep <= 1
        assert device.active_throughout(0.0, end.compute_s + end.upload_s)


@given(budget_s=st.floats(25, 200), run_phase_2=st.booleans())
def test_a_steady_device_never_exceeds_its_budget_unless_it_keeps_the_least(budget_s, run_phase_2):
    end = end_of(budget_s, payload=Payload(), run_phase_2=run_phase_2)
    assert end.keep == 0.3 or end.compute_s + end.upload_s <= budget_s + 1e-9


LAYOUT = Layout((TensorSpec("weight", (400, 50)), TensorSpec("bias", (50,))))
IDS = np.arange(10)


def traced_world(section):
    """Traces that change while a client trains, with pauses of the network, and ids beyond the only device."""
    profile = DeviceProfile(
        cpu_flops=4e9,
        gpu_flops=0.0,
        peak_throughput_mbps=72.0,
        network_stamps_s=[0, 1000, 1100, 1150],
        rate=[54, 1, 0, 11],
        compute_stamps_s=[0, 1010, 1040],
        availability=[35, 100, 60],
        battery_level=[80, 5, 40],
        active_s=[0],
        inactive_s=[],
    )
    return TracedDevices.of(IDS, Population.from_profiles([profile]), 233, section)


@pytest.mark.parametrize("make", [traced_world, lambda section: StaticDevices.draw(IDS, 233, section)])
@given(
    client=st.integers(0, 9),
    steps=st.integers(1, 300),
    recheck_steps=st.integers(1, 50),
    run_phase_2=st.booleans(),
    clock_factor=st.sampled_from([1.0, 300.0]),
)
def test_without_a_limit_of_time_both_paths_take_the_same_time(
    make, client, steps, recheck_steps, run_phase_2, clock_factor
):
    """Acceptance test 4 of the reference: equal steps, infinite budget (D4: the scale applies to every phase)."""
    world = make(DevicesSection(clock_factor=clock_factor))
    work = Workload(megabits(LAYOUT.nbytes), LAYOUT.size, 16, np.asarray([steps]))
    planned = world.phase_times(np.asarray([client]), 4, 1000.0, work)
    device = world.client_time(client, 4)
    end = end_of(
        math.inf,
        device,
        payload=Payload.of(LAYOUT),
        most_steps=steps,
        start_s=1000.0 + planned.download_s[0],
        work=LocalWork.of(LAYOUT, 16, device),
        recheck_steps=recheck_steps,
        run_phase_2=run_phase_2,
    )
    assert end.steps_phase1 + end.steps_phase2 == steps
    assert end.compute_s == pytest.approx(planned.compute_s[0], abs=1e-9)
    assert end.upload_s == pytest.approx(planned.upload_s[0], abs=1e-9)
