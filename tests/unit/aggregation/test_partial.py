from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.aggregation.grid import Grid, shares
from fedswarm.aggregation.partial import CompletionRule, PartialMean
from fedswarm.aggregation.server_algorithm import FedAvg
from fedswarm.errors import NumericRangeError

RENORMALISE, SHRINK, CAPPED = CompletionRule("renormalise"), CompletionRule("shrink"), CompletionRule("capped")
RULES = (RENORMALISE, SHRINK, CAPPED)
SIZE, CHUNK = 50, 8  # six whole chunks and one of two weights
CHUNKS = 7

Pair = tuple[int, int]


def models(count: int, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """A base, and models some way off it."""
    draws = np.random.default_rng(seed)
    base = draws.standard_normal(SIZE).astype(np.float32)
    moves = [draws.standard_normal(SIZE) * 10.0 ** draws.integers(-5, 1) for _ in range(count)]
    return base, [(base + move).astype(np.float32) for move in moves]


def mean_of(pairs: list[Pair], base: np.ndarray, weights: list[np.ndarray], samples: list[int]) -> PartialMean:
    """Chunk ``c`` of source ``i`` for each pair, in this order."""
    mean = PartialMean(base, CHUNK, 1000 * len(weights))
    for source, chunk in pairs:
        assert mean.add(f"peer-{source}", chunk, weights[source][mean.range(chunk)], samples[source])
    return mean


everything = [(source, chunk) for source in range(5) for chunk in range(CHUNKS)]
arrivals = st.lists(st.sampled_from(everything), unique=True)
sample_counts = st.lists(st.integers(1, 1000), min_size=5, max_size=5)


orders = arrivals.flatmap(lambda pairs: st.tuples(st.just(pairs), st.permutations(pairs)))


@given(orders, sample_counts, st.integers(0, 100), st.sampled_from(RULES))
def test_the_result_does_not_depend_on_the_order_of_arrival(both, samples, seed, rule):
    pairs, shuffled = both
    base, weights = models(5, seed)
    one, other = mean_of(pairs, base, weights, samples), mean_of(shuffled, base, weights, samples)
    assert np.array_equal(one.result(rule, sum(samples)), other.result(rule, sum(samples)))


@given(arrivals, sample_counts, st.integers(0, 100), st.sampled_from(RULES))
def test_each_chunk_is_the_formula_of_the_reference(pairs, samples, seed, rule):
    """Defect B14: all peers had the same weight, whatever they trained on."""
    base, weights = models(5, seed)
    result = mean_of(pairs, base, weights, samples).result(rule, sum(samples))
    for chunk in range(CHUNKS):
        where = slice(chunk * CHUNK, min(SIZE, (chunk + 1) * CHUNK))
        there = [source for source, c in pairs if c == chunk]
        arrived = sum(samples[source] for source in there)
        step = sum(samples[i] * (weights[i][where].astype(np.float64) - base[where]) for i in there)
        share = arrived / sum(samples)
        damping = {"renormalise": 1.0, "shrink": share, "capped": min(1.0, 2.5 * share)}[rule.kind]
        expected = base[where] + damping * step / max(arrived, 1)
        assert np.allclose(result[where], expected, rtol=2e-7, atol=1e-7)


@given(sample_counts, st.integers(0, 100), st.sampled_from(RULES))
def test_when_everything_arrived_every_rule_is_federated_averaging(samples, seed, rule):
    base, weights = models(5, seed)
    result = mean_of(everything, base, weights, samples).result(rule, sum(samples))
    expected = np.average([w.astype(np.float64) for w in weights], axis=0, weights=samples)
    assert np.allclose(result, expected, rtol=2e-7, atol=1e-7)


@given(st.integers(0, 100), st.sampled_from(RULES))
def test_with_a_power_of_two_of_samples_it_is_the_servers_average_bit_for_bit(seed, rule):
    samples = [100, 200, 300, 400, 24]
    base, weights = models(5, seed)
    mean = PartialMean(base, CHUNK, 1024)
    for i, (one, count) in enumerate(zip(weights, samples, strict=True)):
        mean.add_whole(str(i), one, count)
    grid, total = Grid(), np.zeros(SIZE)
    for i, share in shares(dict(enumerate(samples)), "samples").items():
        grid.add_weighted(total, weights[i] - base, share)
    algorithm = FedAvg()
    assert np.array_equal(mean.result(rule, 1024), algorithm.apply(algorithm.init(base), total).weights)


def test_one_source_alone_is_taken_over_when_renormalised():
    base, (weights,) = models(1)
    mean = PartialMean(base, CHUNK, 1000)
    mean.add_whole("only", weights, 7)
    assert np.allclose(mean.result(RENORMALISE, 1000), weights, rtol=1e-7, atol=2e-7)


def test_a_chunk_that_nobody_sent_keeps_the_base():
    """Defects B13 and B25: the base was the model already trained here; and chunks that nobody sent were an error."""
    base, weights = models(1)
    result = mean_of([(0, 2)], base, weights, [10]).result(RENORMALISE, 10)
    changed = np.flatnonzero(result != base)
    assert set(changed // CHUNK) == {2}


@given(arrivals.filter(len), st.data())
def test_a_chunk_that_comes_twice_counts_once(pairs, data):
    samples = [1, 20, 300, 44, 5]
    base, weights = models(5)
    mean = mean_of(pairs, base, weights, samples)
    before = mean.result(RENORMALISE, 1000)
    source, chunk = data.draw(st.sampled_from(pairs))
    assert not mean.add(f"peer-{source}", chunk, weights[source][mean.range(chunk)], samples[source])
    assert np.array_equal(mean.result(RENORMALISE, 1000), before)


def test_the_damping_of_each_rule():
    arrived = np.array([0, 10, 40, 100])
    assert RENORMALISE.damping(arrived, 100).tolist() == [1, 1, 1, 1]
    assert SHRINK.damping(arrived, 100).tolist() == [0, 0.1, 0.4, 1]
    assert CAPPED.damping(arrived, 100).tolist() == [0, 0.25, 1, 1]


def test_a_cap_that_would_shrink_complete_chunks_is_refused():
    with pytest.raises(ValueError, match=r"cap of 0\.5"):
        CompletionRule("capped", 0.5)


def test_coverage_tells_what_arrived():
    base, weights = models(2)
    pairs = [(0, chunk) for chunk in range(CHUNKS)] + [(1, 0), (1, 3)]
    coverage = mean_of(pairs, base, weights, [30, 10]).coverage
    assert coverage.arrived_samples.tolist() == [40, 30, 30, 40, 30, 30, 30]
    assert coverage.chunks_of == {"peer-0": 7, "peer-1": 2}
    assert coverage.complete_sources == ("peer-0",)
    assert coverage.missing_chunks == 0
    assert coverage.share(40) == pytest.approx((5 * 30 + 2 * 40) / 7 / 40)


def test_coverage_of_nothing():
    coverage = PartialMean(np.zeros(SIZE, np.float32), CHUNK, 10).coverage
    assert (coverage.missing_chunks, coverage.share(10), coverage.complete_sources) == (CHUNKS, 0.0, ())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, 5000.0])
def test_weights_out_of_range_are_refused_and_leave_no_trace(bad):
    base = np.full(SIZE, -1e38 if bad == 3e38 else 0, dtype=np.float32)
    mean = PartialMean(base, CHUNK, 100)
    poisoned = np.zeros(CHUNK, dtype=np.float32)
    poisoned[3] = bad
    with pytest.raises(NumericRangeError, match="magnitude"):
        mean.add("mallory", 0, poisoned, 10)
    assert mean.coverage.chunks_of == {}
    assert np.array_equal(mean.result(RENORMALISE, 100), base)


def test_more_samples_than_the_sum_was_laid_out_for_are_refused():
    mean = PartialMean(np.zeros(SIZE, np.float32), CHUNK, 100)
    chunk = np.ones(CHUNK, dtype=np.float32)
    mean.add("a", 0, chunk, 60)
    with pytest.raises(NumericRangeError, match="'b' brings chunk 0 to 101 samples"):
        mean.add("b", 0, chunk, 41)
    assert mean.add("c", 0, chunk, 40)


def test_sums_stay_exact_at_the_edge_of_their_range():
    """The largest deltas with all samples there are: any order gives the same, and no rounding but the last."""
    largest = np.nextafter(np.float32(2048), np.float32(0))
    mean = PartialMean(np.zeros(1, np.float32), 1, 2**20)
    for source in range(16):
        mean.add(str(source), 0, np.array([largest]), 2**16)
    assert mean.result(RENORMALISE, 2**20).tolist() == [largest]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda mean: mean.add("a", 0, np.zeros(3, np.float32), 5), r"shape \(3,\), expected \(8,\)"),
        (lambda mean: mean.add_whole("a", np.zeros(3, np.float32), 5), r"shape \(3,\), expected \(50,\)"),
        (lambda mean: mean.add("a", 0, np.zeros(8, np.float32), 0), "'a' trained on 0 samples"),
        (lambda mean: mean.add("b", 0, np.zeros(8, np.float32), 6), "6 samples, but said 5 before"),
        (lambda mean: mean.result(RENORMALISE, 4), "5 samples contributed, more than the total of 4"),
    ],
)
def test_misuse_is_refused_by_its_value(call, message):
    mean = PartialMean(np.zeros(SIZE, np.float32), CHUNK, 100)
    mean.add_whole("b", np.zeros(SIZE, np.float32), 5)
    with pytest.raises(ValueError, match=message):
        call(mean)


@pytest.mark.parametrize("chunk", [-1, CHUNKS])
def test_a_chunk_that_does_not_exist_is_refused(chunk):
    with pytest.raises(IndexError, match="of a model of 7 chunks"):
        PartialMean(np.zeros(SIZE, np.float32), CHUNK, 100).add("a", chunk, np.zeros(8, np.float32), 5)


def test_chunks_of_nothing_and_samples_of_nobody_are_refused():
    with pytest.raises(ValueError, match="chunks of 0 weights"):
        PartialMean(np.zeros(SIZE, np.float32), 0, 100)
    with pytest.raises(ValueError, match="0 samples"):
        PartialMean(np.zeros(SIZE, np.float32), 8, 0)


def errors_of_rules(probability: float, mean: float, deviation: float, trials: int) -> dict[str, float]:
    """Mean squared error of the aggregated update when each of 10 clients' 16 chunks arrives with a probability.

    ``per_tensor`` is the rule we do not use, after FLTorrent: the filled mean over the coverage of the whole tensor,
    the factor limited to 2.5 (reference 1.9).
    """
    draws = np.random.default_rng(1)
    clients, chunks = 10, 16
    base = np.zeros(chunks, np.float32)
    squared = {"shrink": 0.0, "per_tensor": 0.0, "renormalise": 0.0}
    for _ in range(trials):
        updates = draws.normal(mean, deviation, (clients, chunks)).astype(np.float32)
        arrived = draws.random((clients, chunks)) < probability
        partial = PartialMean(base, 1, clients)
        for client, chunk in zip(*np.nonzero(arrived), strict=True):
            partial.add(str(client), int(chunk), updates[client, chunk : chunk + 1], 1)
        filled = partial.result(SHRINK, clients)
        share = partial.coverage.share(clients)
        found = {
            "shrink": filled,
            "per_tensor": filled * min(1 / share, 2.5) if share else filled,
            "renormalise": partial.result(RENORMALISE, clients),
        }
        for rule, update in found.items():
            squared[rule] += float(np.mean((update - updates.mean(axis=0)) ** 2)) / trials
    return squared


@pytest.mark.parametrize(
    ("probability", "noisy", "aligned"),
    [
        (0.1, (0.163, 0.166, 0.510), (0.827, 0.626, 0.385)),
        (0.4, (0.098, 0.153, 0.206), (0.394, 0.150, 0.025)),
        (0.8, (0.025, 0.028, 0.030), (0.059, 0.026, 0.003)),
    ],
)
def test_the_references_monte_carlo_table(probability, noisy, aligned):
    """Reference 1.9: renormalising wins where updates agree, filling where they are noise."""
    for expected, (mean, deviation) in ((noisy, (0.3, 1.0)), (aligned, (1.0, 0.3))):
        errors = errors_of_rules(probability, mean, deviation, trials=300)
        measured = (errors["shrink"], errors["per_tensor"], errors["renormalise"])
        assert measured == pytest.approx(expected, rel=0.12, abs=0.0006)
