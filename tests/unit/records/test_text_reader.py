import json

import pytest

from fedswarm.records.fedscale_text import lines
from fedswarm.records.text_reader import parse_text_log

OLD_LOG = """\
wandb: Tracking run with wandb version 0.17
(07-12) 10:00:00 INFO     [client_manager.py:80] Wall clock time: 0.0, 90 clients online, 10 clients offline
(07-12) 10:00:00 INFO     [aggregator.py:600] Selected 2 participants to run: [5, 9]
(07-12) 10:00:01 INFO     [aggregator.py:500] FL Testing in round: 0, virtual_clock: 0.0, results: {'round': 0, \
'clock': 0.0, 'top_1': 0.016, 'top_5': 0.081, 'loss': 4.13}
(07-12) 10:00:02 INFO     [aggregator.py:300] [aggregator] client 9 finished, simulated_duration = 80.25 s
(07-12) 10:00:02 INFO     [aggregator.py:300] [aggregator] client 5 finished, simulated_duration = 60.50 s
(07-12) 10:00:03 INFO     [aggregator.py:700] *** ROUND 0 COMPLETE: got 2/2 updates, moving on ***
(07-12) 10:00:03 INFO     [aggregator.py:710] Wall clock: 80s, round: 1, Planned participants: 3, Succeed: 2, Loss: 3.9
(07-12) 10:00:03 INFO     [oort.py:70] [Oort.Pacer] round=1: preferred_duration=40.000s (t_budget), was 30.000s
(07-12) 10:00:03 INFO     [aggregator.py:600] Selected 1 participants to run: [7]
"""


def parse(text):
    return parse_text_log(text.splitlines(keepends=True))


def by_tag(records, tag):
    return [record for record in records if record["tag"] == tag]


def test_a_test_line_becomes_a_test_result():
    assert by_tag(parse(OLD_LOG), "TEST_RESULT") == [
        {"ts": None, "tag": "TEST_RESULT", "round": 0, "clock": 0.0, "loss": 4.13, "top1": 0.016, "top5": 0.081}
    ]


def test_a_round_is_put_together_from_its_lines():
    (summary,) = by_tag(parse(OLD_LOG), "ROUND_SUMMARY")
    assert (summary["round"], summary["completed_round"], summary["loss_avg"]) == (1, 0, 3.9)
    assert (summary["clock_start"], summary["clock_end"], summary["duration"]) == (0.0, 80.0, 80.0)
    assert summary["client_durations"] == {"9": 80.25, "5": 60.5}
    assert (summary["sampled_clients"], summary["planned_clients"], summary["completed_clients"]) == (3, 2, 2)


def test_selections_belong_to_the_round_about_to_run():
    begins = by_tag(parse(OLD_LOG), "ROUND_BEGIN")
    assert [(begin["round"], begin["to_run"]) for begin in begins] == [(0, [5, 9]), (1, [7])]
    assert (begins[0]["online_clients"], begins[0]["feasible_clients"]) == (90, 100)


def test_a_pacer_line_sets_the_next_round_s_preferred_duration():
    assert [begin["pacer"] for begin in by_tag(parse(OLD_LOG), "ROUND_BEGIN")] == [{}, {"preferred_duration": 40.0}]


def test_the_oldest_round_line_is_read_too():
    text = "Wall clock: 120 s, round: 3, Planned participants: 13, Succeed participants: 10, Training loss: 1.25\n"
    (summary,) = parse(text)
    assert (summary["round"], summary["clock_end"], summary["loss_avg"]) == (3, 120.0, 1.25)


def test_the_oldest_selection_line_is_read_too():
    (begin,) = parse("Selected participants to run: [4, 2]\n")
    assert begin["to_run"] == [4, 2]


def test_bliss_pacer_lines_are_read():
    records = parse(
        "[Bliss/Pacer] utility flat \N{EN DASH} relaxing T to 110.00 s\nSelected 1 participants to run: [1]\n"
    )
    assert records[0]["pacer"] == {"preferred_duration": 110.0}


def test_accuracies_printed_as_numpy_scalars_are_read():
    (record,) = parse("FL Testing in round: 5, virtual_clock: 7.5, results: {'round': 5, 'top_1': np.float64(0.5)}\n")
    assert record["top1"] == 0.5


def test_a_diverged_loss_is_read():
    (record,) = parse("FL Testing in round: 5, virtual_clock: 7.5, results: {'top_1': 0.1, 'loss': nan}\n")
    assert record["loss"] != record["loss"]


def test_a_bracketed_record_wins_over_the_human_line():
    tagged = {"round": 0, "clock": 0.0, "loss": 4.131234, "top1": 0.0161, "top5": 0.081}
    records = parse(f"(07-12) 10:00:01 INFO     [a.py:5] [TEST_RESULT] {json.dumps(tagged)}\n" + OLD_LOG)
    assert by_tag(records, "TEST_RESULT") == [{"ts": None, "tag": "TEST_RESULT", **tagged}]


def test_a_human_selection_fills_in_a_bracketed_round_begin():
    text = '[ROUND_BEGIN] {"round": 4, "start_clock": 10.5, "pacer": {}}\nSelected 2 participants to run: [8, 6]\n'
    (begin,) = parse(text)
    assert (begin["round"], begin["to_run"]) == (4, [8, 6])


@pytest.mark.parametrize("line", ["[TEST_RESULT] {broken}", "[A_TAG] {" + "[" * 100_000 + "}", "", "\x00"])
def test_lines_of_no_known_shape_are_passed_over(line):
    assert parse(line + "\n") == []


def test_our_own_human_lines_alone_give_the_same_rounds(sample):
    text = "\n".join(line for record in sample.run() for line in lines(record))
    (first, second) = by_tag(parse(text), "ROUND_SUMMARY")
    assert first["completed"] == [3, 17]
    assert (second["completed_round"], second["clock_end"]) == (1, 524.0)
