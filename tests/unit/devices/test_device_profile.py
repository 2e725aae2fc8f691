from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fedswarm.errors import DataError


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"network_stamps_s": [0, 9, 5], "rate": [1, 2, 5]}, r"network_stamps_s\[2\] is 5 after 9: sort"),
        ({"rate": [54, 11]}, "rate has 2 samples, network_stamps_s has 1"),
        ({"availability": []}, "availability has 0 samples, compute_stamps_s has 1"),
        ({"battery_level": [1, 2]}, "battery_level has 2 samples, compute_stamps_s has 1"),
        ({"network_stamps_s": [], "rate": []}, "network_stamps_s is empty"),
        ({"rate": [-1]}, r"rate\[0\] is -1: it must lie between 0 and 54"),
        ({"rate": [math.nan]}, r"rate\[0\] is nan"),
        ({"rate": [1e300]}, r"rate\[0\] is inf"),
        ({"availability": [101]}, r"availability\[0\] is 101"),
        ({"battery_level": [-2]}, r"battery_level\[0\] is -2"),
        ({"compute_stamps_s": [172_801]}, r"compute_stamps_s\[0\] is 172801"),
        ({"active_s": [-5]}, r"active_s\[0\] is -5"),
        ({"inactive_s": [math.inf]}, r"inactive_s\[0\] is inf"),
        ({"rate": ["fast"]}, "rate has shape .* it must be a list of numbers"),
        ({"rate": [[1, 2]]}, "rate has shape .* it must be a list of numbers"),
        ({"rate": ([1], [2, 3])}, "rate holds lists of different lengths"),
        ({"cpu_flops": -1.0}, "cpu_flops is -1.0: it must lie between"),
        ({"gpu_flops": math.nan}, "gpu_flops is nan"),
        ({"peak_throughput_mbps": "433"}, "peak_throughput_mbps is '433': it must be a number"),
        ({"cpu_flops": True}, "cpu_flops is True"),
        ({"model": None}, "model is 'None'"),
        ({"os": "x" * 501}, "os is 'xxx.*at most 500 characters"),
    ],
)
def test_a_device_that_breaks_a_rule_is_refused_by_field(device: Any, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        device(**changes)


def test_series_may_be_of_any_real_type_and_become_float32_on_the_grid(device: Any) -> None:
    made = device(network_stamps_s=[1 / 3], rate=np.asarray([11], dtype=np.int16))
    assert (made.network_stamps_s.dtype, made.rate.dtype) == (np.float32, np.float32)
    assert made.network_stamps_s[0] == round(64 / 3) / 64


def test_a_device_does_not_change(device: Any) -> None:
    with pytest.raises(ValueError, match="read-only"):
        device().rate[0] = 1


def test_equal_stamps_may_follow_each_other(device: Any) -> None:
    assert len(device(network_stamps_s=[0, 5, 5], rate=[1, 2, 5]).rate) == 3
