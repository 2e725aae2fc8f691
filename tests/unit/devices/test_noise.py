from __future__ import annotations

import math

import numpy as np
import pytest

from fedswarm.devices.noise import compute_noise, keyed_normals, keyed_uniforms

MANY = np.arange(200_000, dtype=np.int64)


def test_noise_depends_on_seed_round_and_client_alone() -> None:
    """Defect D20: the executor that simulated a client used to decide its noise."""
    together = compute_noise(7, 3, np.asarray([5, 9], dtype=np.int64))
    apart = compute_noise(7, 3, np.asarray([9], dtype=np.int64))
    assert together[1] == apart[0]
    assert compute_noise(7, 4, np.asarray([9], dtype=np.int64))[0] != apart[0]
    assert compute_noise(8, 3, np.asarray([9], dtype=np.int64))[0] != apart[0]


def test_noise_has_the_published_mean_and_spread() -> None:
    """Reference appendix A.6: mean 0.9, median 0.872."""
    draws = compute_noise(1, 0, MANY)
    assert np.mean(draws) == pytest.approx(0.9, abs=0.003)
    assert np.median(draws) == pytest.approx(0.872, abs=0.003)
    assert np.std(np.log(draws)) == pytest.approx(0.25, abs=0.003)


def test_golden_draws() -> None:
    """A change of these would change every recorded run."""
    assert keyed_uniforms(233, 0, "golden", MANY[:3]).tolist() == [
        0.4332692164562679,
        0.2509714053948322,
        0.6946778439650287,
    ]


def test_uniform_draws_fill_the_unit_interval_evenly() -> None:
    counts = np.histogram(keyed_uniforms(1, 2, "even", MANY), bins=100, range=(0, 1))[0]
    chi_square = np.sum((counts - 2000.0) ** 2 / 2000.0)
    assert chi_square < 99 + 5 * math.sqrt(2 * 99)


@pytest.mark.parametrize("lag", [1, 2, 64, 1000])
def test_draws_of_neighbours_do_not_correlate(lag: int) -> None:
    draws = keyed_normals(1, 2, "apart", MANY)
    assert abs(np.corrcoef(draws[lag:], draws[:-lag])[0, 1]) < 5 / math.sqrt(len(MANY))


def test_lanes_of_one_identity_do_not_correlate() -> None:
    first, second = (keyed_normals(1, 2, "lanes", MANY, lane) for lane in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / math.sqrt(len(MANY))
