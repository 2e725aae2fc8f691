from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.errors import NumericRangeError
from fedswarm.jobs.vocabulary import settings
from fedswarm.randomness import generator
from fedswarm.swarm.chunks import MIN_CHUNK_BYTES
from fedswarm.swarm.importance import METHODS, MOST_IMPORTANT, Evidence, chunk_importance, rank_bytes
from fedswarm.swarm.manifest import build_manifest

CHUNK = 4
finite = st.floats(-1e6, 1e6, allow_nan=False)


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


DELTA = vector(1, -1, 1, -1, 0, 0, 0, 3.9, -2, 2)
WEIGHTS = vector(1, 1, 1, 1, 2, 2, 2, 2, 0, 5)
GRADIENT = vector(0.1, -0.1, 0.1, -0.1, 1, 1, -1, -1, 3, 0.1)
SQUARED = vector(1, 0, 0, 0, 0.5, 0.5, 0.5, 0.5, 0, 0)
EVIDENCE = Evidence(DELTA, WEIGHTS, GRADIENT, SQUARED, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("delta_magnitude", (1.0, 0.975, 2.0)),
        ("delta_l2", (1.0, 1.95, 2.0)),
        ("snip", (0.1, 2.0, 0.25)),
        ("fisher", (0.25, 0.5, 0.0)),
        ("gradient_delta", (0.1, 0.975, 3.1)),
        ("sequential", (0.0, -4.0, -8.0)),
    ],
)
def test_the_golden_scores_of_three_chunks_the_last_one_short(method: str, expected: tuple[float, ...]) -> None:
    scores = METHODS[method].score(EVIDENCE, np.array([0, 4, 8]))
    assert scores == pytest.approx(expected)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("delta_magnitude", [127, 0, 255]),
        ("delta_l2", [0, 127, 255]),
        ("snip", [0, 255, 127]),
        ("fisher", [127, 255, 0]),
        ("gradient_delta", [0, 127, 255]),
        ("sequential", [255, 127, 0]),
    ],
)
def test_bytes_are_the_ranks_of_the_scores(method: str, expected: list[int]) -> None:
    assert list(chunk_importance(method, EVIDENCE, CHUNK)) == expected


def test_the_references_methods_are_all_there() -> None:
    assert list(METHODS) == ["delta_magnitude", "delta_l2", "snip", "fisher", "gradient_delta", "random", "sequential"]
    assert settings()["exchange", "importance"].choices == tuple(METHODS)


def test_methods_say_which_gradient_they_need() -> None:
    assert [name for name, method in METHODS.items() if method.needs_gradient] == ["snip", "gradient_delta"]
    assert [name for name, method in METHODS.items() if method.needs_squared_gradient] == ["fisher"]


def test_methods_that_need_no_gradient_work_on_the_delta_alone() -> None:
    for name, method in METHODS.items():
        if not (method.needs_gradient or method.needs_squared_gradient or name == "random"):
            assert len(chunk_importance(name, Evidence(DELTA), CHUNK)) == 3


@pytest.mark.parametrize("method", sorted(METHODS))
@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 1000))
def test_every_chunk_gets_a_byte_and_the_best_gets_255(method: str, size: int, chunk: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    delta, weights, gradient = draws.standard_normal((3, size)).astype(np.float32)
    importance = chunk_importance(method, Evidence(delta, weights, gradient, gradient**2, draws), chunk)
    assert len(importance) == -(-size // chunk)
    assert max(importance) == MOST_IMPORTANT


@pytest.mark.parametrize("method", ["delta_magnitude", "delta_l2", "snip", "fisher", "gradient_delta"])
@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 1000))
def test_scores_are_means_over_the_elements_of_a_chunk(method: str, size: int, chunk: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    d, w, g = draws.standard_normal((3, size)).astype(np.float32)
    scores = METHODS[method].score(Evidence(d, w, g, g**2), np.arange(0, size, chunk))
    elements = {
        "delta_magnitude": abs(d),
        "delta_l2": d**2,
        "snip": abs(g * w),
        "fisher": g**2,
        "gradient_delta": abs(g * d),
    }[method].astype(np.float64)
    expected = np.array([elements[at : at + chunk].mean() for at in range(0, size, chunk)])
    assert np.allclose(scores, np.sqrt(expected) if method == "delta_l2" else expected, rtol=1e-5)


@given(st.lists(finite, min_size=1, max_size=600))
def test_ranks_are_monotone_in_the_score_and_equal_for_equal_scores(values: list[float]) -> None:
    scores = np.array(values)
    ranks = np.frombuffer(rank_bytes(scores), dtype=np.uint8)
    order = np.argsort(scores, kind="stable")
    assert np.all(np.diff(ranks[order].astype(int)) >= 0)
    for score in set(values):
        assert len(set(ranks[scores == score])) == 1


@given(st.lists(finite, min_size=2, max_size=256, unique=True))
def test_up_to_256_distinct_scores_stay_distinct_and_span_the_range(values: list[float]) -> None:
    ranks = rank_bytes(np.array(values))
    assert len(set(ranks)) == len(values)
    assert (min(ranks), max(ranks)) == (0, MOST_IMPORTANT)


def test_equal_scores_are_all_important() -> None:
    assert rank_bytes(np.zeros(3)) == bytes([255] * 3)


@given(st.floats(1e-6, 1e6), st.integers(0, 100))
def test_ranks_do_not_depend_on_the_scale_of_the_update(factor: float, seed: int) -> None:
    delta = np.random.default_rng(seed).standard_normal(200).astype(np.float32)
    scaled = (delta * np.float64(2.0 ** np.round(np.log2(factor)))).astype(np.float32)
    for method in ("delta_magnitude", "delta_l2"):
        assert chunk_importance(method, Evidence(delta), 16) == chunk_importance(method, Evidence(scaled), 16)


def test_a_random_order_follows_its_key_and_ranks_each_chunk_differently() -> None:
    def order(round_index: int) -> bytes:
        draws = generator(233, round_index, "importance", 4)
        return chunk_importance("random", Evidence(np.zeros(400, np.float32), draws=draws), CHUNK)

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert len(set(order(1))) == 100


def test_small_moves_are_told_apart_where_float32_squares_vanish() -> None:
    delta = np.repeat(vector(1e-25, 3e-25), CHUNK)
    assert list(chunk_importance("delta_l2", Evidence(delta), CHUNK)) == [0, 255]


def test_importance_fits_the_manifest() -> None:
    delta = np.arange(10_000, dtype=np.float32)
    importance = chunk_importance("delta_l2", Evidence(delta), MIN_CHUNK_BYTES // 4)
    build_manifest(
        delta, job="j", round_index=1, source="a", schema_hash="", chunk_bytes=MIN_CHUNK_BYTES, importance=importance
    )


@pytest.mark.parametrize(
    ("method", "lacking"),
    [("snip", "weights"), ("gradient_delta", "gradient"), ("fisher", "squared_gradient"), ("random", "draws")],
)
def test_missing_evidence_is_named(method: str, lacking: str) -> None:
    with pytest.raises(ValueError, match=f"Evidence.{lacking}"):
        chunk_importance(method, Evidence(DELTA), CHUNK)


def test_an_unknown_method_is_refused_with_the_choice() -> None:
    with pytest.raises(ValueError, match="'gradient_norm': choose one of delta_magnitude, "):
        chunk_importance("gradient_norm", EVIDENCE, CHUNK)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused_by_its_chunk(bad: float) -> None:
    with pytest.raises(NumericRangeError, match=f"chunk 1 has the fisher score {bad}"):
        chunk_importance("fisher", Evidence(DELTA, squared_gradient=vector(*[0] * 5, bad, *[0] * 4)), CHUNK)
