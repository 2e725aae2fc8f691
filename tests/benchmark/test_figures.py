import pytest
from trial.figures import Figures, figures_of, lines, medians
from trial.trial import Outcome


def outcome(*, control_bytes=10, wire_bytes=2200):
    reports = {
        "seed": {"wasted_bytes": 0, "control_bytes": 10, "cpu_s": 0.5},
        "peer-1": {"wasted_bytes": 20, "control_bytes": control_bytes, "cpu_s": 0.25},
    }
    return Outcome({"peer-1": 3.0, "peer-2": 2.0}, reports, wire_bytes)


def test_shares_are_of_the_bytes_that_had_to_be_delivered():
    assert figures_of(outcome(), useful_bytes=2000, bound_s=2.5) == Figures(
        last_s=3.0,
        mean_s=2.5,
        ratio=1.2,
        duplicate_percent=1.0,
        control_percent=1.0,
        wire_overhead_percent=10.0,
        cpu_s=0.75,
    )


def test_what_one_member_does_not_count_is_unknown_of_all():
    figures = figures_of(outcome(control_bytes=None, wire_bytes=None), useful_bytes=2000, bound_s=2.5)
    assert (figures.control_percent, figures.wire_overhead_percent) == (None, None)


def test_each_figure_has_its_own_median_and_every_ratio_is_kept():
    def figures(last_s, duplicate_percent):
        return Figures(last_s, 1.0, last_s / 2, duplicate_percent, None, 5.0, 0.1)

    result = medians([figures(2.0, 3.0), figures(8.0, 1.0), figures(4.0, 2.0)])
    assert result["last_s"] == 4.0
    assert result["duplicate_percent"] == 2.0
    assert result["control_percent"] is None
    assert result["ratios"] == [1.0, 4.0, 2.0]
    assert result["ratio"] == pytest.approx(2.0)


def test_one_line_a_contender():
    assert lines({"fedswarm": {"ratio": 1.1}, "libtorrent": {"ratio": 1.4}}) == [
        "    fedswarm  ratio 1.1",
        "  libtorrent  ratio 1.4",
    ]
