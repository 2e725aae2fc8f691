import sys

import pytest

from fedswarm.errors import DependencyError
from fedswarm.records import plots, read_run


@pytest.fixture
def run(sample, write_run):
    return read_run(write_run(sample.run(12)))


def drawn(figure):
    figure.draw_without_rendering()
    return figure.axes


def test_accuracy_is_drawn_against_virtual_hours_without_rounding(run):
    (axes,) = drawn(plots.learning_curve({"random": run}, "top1", "clock_h"))
    assert list(axes.lines[0].get_xdata()) == [0.0, 12 * 261.75 / 3600]
    assert list(axes.lines[0].get_ydata()) == [0.1, 0.4875]
    assert axes.get_xlabel() == "virtual time (hours)"


def test_loss_is_drawn_against_rounds(run):
    (axes,) = drawn(plots.learning_curve({"random": run}, "loss", "round"))
    assert list(axes.lines[0].get_xdata()) == [0, 12]
    assert axes.get_ylabel() == "test loss"


def test_runs_are_compared_in_one_figure(run):
    (axes,) = drawn(plots.learning_curve({"a": run, "b": run}))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_the_band_of_accuracy_spans_the_peers(peers_told, write_run):
    (axes,) = drawn(plots.accuracy_band(read_run(write_run(peers_told))))
    assert list(axes.lines[-1].get_ydata()) == [0.275, 0.325]
    assert len(axes.lines) == 3
    corners = axes.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (0.05, 0.55)


def test_one_model_has_a_band_without_width(run):
    (axes,) = drawn(plots.accuracy_band(run))
    assert len(axes.lines) == 1


@pytest.mark.parametrize("averaged", [False, True])
def test_each_run_has_its_panel_of_round_durations(run, averaged):
    axes = drawn(plots.round_durations({"a": run, "b": run}, averaged))
    assert [panel.get_title() for panel in axes] == ["a", "b"]
    assert set(axes[0].lines[0].get_ydata()) == {261.75}


def test_the_pacer_s_preferred_duration_is_a_second_curve(run):
    run.rounds["preferred_duration_s"] = 300.0
    (axes,) = drawn(plots.round_durations({"oort": run}))
    assert set(axes.lines[1].get_ydata()) == {300.0}


def test_client_durations_are_sorted_bars_over_the_waiting_time(run):
    axes = drawn(plots.client_durations(run))
    assert [panel.get_title() for panel in axes] == ["round 1", "round 6", "round 8", "round 10"]
    assert [bar.get_height() for bar in axes[0].patches] == [261.75, 261.75, 132.5, 261.75]


def test_rounds_that_never_were_are_not_drawn(run):
    assert drawn(plots.client_durations(run, rounds=[500])) == []


def test_first_time_shares_add_up_to_one(run):
    (axes,) = drawn(plots.first_time_share(run))
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[:2] == [1.0, 0.0]
    assert heights[0] + heights[12] == 1.0


def test_without_matplotlib_the_error_names_the_way_out(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DependencyError, match="matplotlib"):
        plots.learning_curve({"a": run})
