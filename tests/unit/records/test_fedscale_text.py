"""Existing notebooks read FedScale logs by regular expressions. These patterns are the ones they use."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.records.fedscale_text import decimal, lines
from fedswarm.records.schema import Federation, Shutdown, TestResult


def only(printed, word):
    found = [line for line in printed if word in line]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def tested():
    return lines(TestResult(round=15, clock_s=5120.4, loss=1.7021, top1=0.4873, top5=0.79, samples=10000))


def test_a_test_line_yields_round_clock_and_accuracy(tested):
    pattern = r"FL Testing in round:\s*(\d+),\s*virtual_clock:\s*([\d\.]+),.*?'top_1':\s*([\d\.]+)"
    assert re.search(pattern, only(tested, "FL Testing")).groups() == ("15", "5120.4", "0.4873")


def test_a_test_line_has_the_exact_shape(tested):
    assert tested[-1] == (
        "FL Testing in round: 15, virtual_clock: 5120.4, results: "
        "{'round': 15, 'clock': 5120.4, 'top_1': 0.4873, 'top_5': 0.79, 'loss': 1.7021}"
    )


def test_a_test_set_line_counts_the_correct_samples(tested):
    assert tested[0] == (
        "Rank 0: Test set: Average loss: 1.7021, Top-1 Accuracy: 4873/10000 (0.4873), Top-5 Accuracy: 0.79"
    )


def test_tiny_accuracies_do_not_use_an_exponent():
    printed = lines(TestResult(round=0, clock_s=0.0, loss=9.0, top1=1e-5, top5=0.0, samples=100000))
    assert "'top_1': 0.00001," in printed[-1]


def test_a_test_of_nothing_still_prints():
    nan = float("nan")
    assert "0/0 (nan)" in lines(TestResult(round=0, clock_s=0.0, loss=nan, top1=nan, top5=nan, samples=0))[0]


def test_selected_clients_are_listed(sample):
    pattern = r"Selected \d+ participants to run: \[([0-9,\s]+)\]"
    assert re.search(pattern, only(lines(sample.begin(0)), "Selected"))[1] == "3, 17"


def test_a_moved_pacer_is_told_in_the_words_that_notebooks_read(sample):
    pacer = {"t_budget": 368.0, "preferred_duration": 368.0, "preferred_duration_before": 358.0}
    line = lines(replace(sample.begin(12), pacer=pacer))[0]
    assert line == "[Oort.Pacer] round=12: preferred_duration=368.000s (t_budget), was 358.000s"
    assert re.search(r"\[Oort\.Pacer\].*preferred_duration=([\d.]+)s", line)[1] == "368.000"


@pytest.mark.parametrize("before", [368.0, None])
def test_a_pacer_that_stands_still_or_starts_says_nothing(sample, before):
    pacer = {"round_threshold": 30.0, "preferred_duration": 368.0, "preferred_duration_before": before}
    assert not any("Pacer" in line for line in lines(replace(sample.begin(12), pacer=pacer)))


@pytest.mark.parametrize(
    ("now", "said"), [(350.0, "flat \N{EN DASH} relaxing"), (250.0, "swing \N{EN DASH} tightening")]
)
def test_the_pacer_of_bliss_speaks_as_the_original(sample, now, said):
    pacer = {"algo": "bliss", "t_budget": now, "t_budget_before": 300.0}
    line = only(lines(replace(sample.begin(12), pacer=pacer)), "Pacer")
    assert line == f"[Bliss/Pacer] utility {said} T to {now} s"


def test_the_pacer_of_bliss_says_nothing_while_the_budget_stays(sample):
    pacer = {"algo": "bliss", "t_budget": 300.0, "t_budget_before": 300.0}
    assert not any("Pacer" in line for line in lines(replace(sample.begin(12), pacer=pacer)))


def test_online_and_offline_clients_add_up_to_all(sample):
    assert only(lines(sample.begin(0, 12.5)), "online") == "Wall clock time: 12.5, 5 clients online, 55 clients offline"


def test_each_completed_client_s_duration_is_printed(sample):
    pattern = re.compile(r"client\s+(\d+)\s+finished, simulated_duration\s*=\s*([\d\.]+)\s*s")
    found = [match.groups() for line in lines(sample.summary(0)) if (match := pattern.search(line))]
    assert found == [("3", "132.50"), ("17", "261.75")]


def test_the_end_of_a_round_follows_its_clients(sample):
    printed = lines(sample.summary(6))
    assert re.search(r"\*\*\*\s*ROUND\s+(\d+)\s+COMPLETE", printed[2])[1] == "6"
    assert printed[2] == "*** ROUND 6 COMPLETE: got 2/2 updates, moving on ***"


def test_the_wall_clock_line_states_the_virtual_clock_and_the_next_round(sample):
    assert lines(sample.summary(6, 1000.0))[3] == (
        "Wall clock: 1262s, round: 7, Planned participants: 4, Succeed: 2, Loss: 1.834200"
    )


def test_the_federation_is_introduced():
    assert lines(Federation(clients=100, samples=9000, model_parameters=1_199_882, model_bytes=4_799_528)) == [
        "Info of all feasible clients {'total_feasible_clients': 100, 'total_num_samples': 9000}",
        "model amount of parameters: 1199882, model size: 38.000000",
    ]


def test_records_without_words_print_nothing():
    assert lines(Shutdown("finished", round=1, clock_s=1.0, wall_s=1.0)) == []


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30))
def test_decimals_read_back_exactly_and_have_no_exponent(number):
    text = decimal(number)
    assert float(text) == number
    assert re.fullmatch(r"-?\d+\.\d+", text)
