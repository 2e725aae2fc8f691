import math

import pytest

from fedswarm.errors import DataError
from fedswarm.records.chronicle import Chronicle, Links
from fedswarm.records.peer_schema import PeerReady
from fedswarm.records.schema import TestResult

START_S = 1000.0


@pytest.fixture
def told_round(sample):
    def told(round_index, peer, ts, **figures):
        record = sample.peer_round(peer, round_index, **figures)
        return {"ts": START_S + ts, "tag": record.tag, **record.payload()}

    return told


def told_test(round_index, ts, top1, loss=1.5):
    record = TestResult(round=round_index, clock_s=ts, loss=loss, top1=top1, top5=0.9, samples=2000)
    return {"ts": START_S + ts, "tag": record.tag, **record.payload()}


@pytest.fixture
def chronicle():
    chronicle = Chronicle(["1", "2"], rounds=2, started_s=0.0)
    chronicle.begin(START_S, Links("complete", 1, 1.0, 1))
    return chronicle


def tags(records):
    return [record.tag for record in records]


def test_the_beginning_names_the_peers_as_clients():
    (begin,) = Chronicle(["1", "2"], rounds=2, started_s=0.0).begin(START_S, Links("complete", 1, 1.0, 1))
    assert (begin.round, begin.to_run, begin.feasible_clients, begin.executors) == (0, [1, 2], 2, ["1", "2"])


def test_the_federation_is_told_first_and_holds_the_shards_of_those_that_are_up():
    chronicle = Chronicle(["1", "2", "3"], rounds=2, started_s=0.0)
    chronicle.leave("2")
    for number in (1, 2, 3, 9):
        ready = PeerReady(str(number), number - 1, samples=10 * number, model_parameters=100, model_bytes=400)
        assert chronicle.hear(str(number), {"ts": START_S, "tag": ready.tag, **ready.payload()}) == []
    federation, begin = chronicle.begin(START_S, Links("ring", 3, 2.0, 1))
    assert federation.payload() == {
        "clients": 2, "samples": 40, "model_parameters": 100, "model_bytes": 400,
        "topology": "ring", "links": 3, "mean_degree": 2.0, "diameter": 1,
    }  # fmt: skip
    assert begin.to_run == [1, 3]


def test_a_round_is_told_when_all_have_told_it_and_then_the_next_begins(chronicle, told_round):
    assert chronicle.hear("1", told_round(0, "1", 5.0)) == []
    told = chronicle.hear("2", told_round(0, "2", 7.0))
    assert tags(told) == ["CLIENT_INFO", "ROUND_SUMMARY", "ROUND_BEGIN"]
    assert told[-1].payload()["start_clock"] == 7.0


def test_a_summary_has_sums_of_bytes_and_means_with_extremes(chronicle, told_round):
    chronicle.hear("1", told_round(0, "1", 5.0, loss=1.0, arrived=0.5))
    _, summary, _ = chronicle.hear("2", told_round(0, "2", 7.0, loss=2.0))
    payload = summary.payload()
    assert (payload["loss_avg"], payload["loss_avg_min"], payload["loss_avg_max"]) == (1.5, 1.0, 2.0)
    assert (payload["arrived"], payload["arrived_min"]) == (0.75, 0.5)
    assert (payload["bytes_peers"], payload["bytes_wasted"], payload["bytes_aggregator"]) == (40, 2, 0)
    assert (payload["clock_start"], payload["clock_end"], payload["wall_s"]) == (0.0, 7.0, 7.0)
    assert (payload["completed"], payload["dropped"], payload["planned_clients"]) == ([1, 2], [], 2)


def test_who_died_without_a_word_is_dropped_from_its_round(chronicle, told_round):
    chronicle.hear("1", told_round(0, "1", 5.0))
    _, summary, begin = chronicle.leave("2")
    assert (summary.completed, summary.dropped, summary.planned_clients) == ([1], [2], 2)
    assert begin.to_run == [1]


@pytest.mark.parametrize("test_first", [True, False])
def test_a_test_is_told_after_the_round_it_follows_whichever_is_heard_first(chronicle, told_round, test_first):
    told = []
    for peer, top1 in (("1", 0.5), ("2", 0.7)):
        words = [told_round(0, peer, 5.0), told_test(1, 5.5, top1)]
        for word in reversed(words) if test_first else words:
            told += chronicle.hear(peer, word)
    told = [record for record in told if record.tag in ("ROUND_SUMMARY", "TEST_RESULT")]
    assert tags(told) == ["ROUND_SUMMARY", "TEST_RESULT"]
    payload = told[1].payload()
    assert (payload["round"], payload["clock"], payload["samples"]) == (1, 5.5, 2000)
    assert (payload["top1"], payload["top1_min"], payload["top1_max"]) == (0.6, 0.5, 0.7)


def test_a_test_does_not_wait_for_one_that_has_passed_it_by(chronicle, told_round):
    chronicle.hear("1", told_round(0, "1", 5.0))
    chronicle.hear("1", told_test(1, 5.5, 0.5))
    assert tags(chronicle.hear("2", told_round(1, "2", 9.0))) == [
        "CLIENT_INFO", "ROUND_SUMMARY", "TEST_RESULT", "ROUND_BEGIN"
    ]  # fmt: skip


def test_the_test_before_training_needs_no_round(chronicle):
    chronicle.hear("1", told_test(0, 0.25, 0.1))
    (test,) = chronicle.hear("2", told_test(0, 0.5, 0.2))
    assert (test.round, test.clock_s) == (0, 0.5)


def test_figures_that_were_not_finite_are_left_out_of_the_mean(chronicle, told_round):
    chronicle.hear("1", told_round(0, "1", 5.0) | {"loss": None})
    info, summary, _ = chronicle.hear("2", told_round(0, "2", 5.0, loss=2.0))
    assert summary.loss_avg == 2.0
    assert math.isnan(info.clients[1].loss)


def test_a_peer_started_by_hand_counts(chronicle, told_round):
    for peer in ("1", "7"):
        chronicle.hear(peer, told_round(0, peer, 5.0))
    _, summary, _ = chronicle.hear("2", told_round(0, "2", 5.0))
    assert summary.completed == [1, 2, 7]


def test_the_end_tells_what_is_left_and_last_how_it_ended(chronicle, told_round):
    for peer in ("1", "2"):
        chronicle.hear(peer, told_round(0, peer, 5.0))
    chronicle.hear("1", told_round(1, "1", 8.0))
    told = chronicle.end("stopped", "as asked", START_S + 9.0)
    assert tags(told) == ["CLIENT_INFO", "ROUND_SUMMARY", "SHUTDOWN"]
    last = told[-1]
    assert (last.reason, last.round, last.clock_s, last.wall_s, last.message) == ("stopped", 2, 8.0, 9.0, "as asked")


@pytest.mark.parametrize(
    ("peer", "wrong"),
    [
        ("1", {"completed_round": None}),
        ("1", {"completed_round": 2}),
        ("1", {"completed_round": -1}),
        ("1", {"samples": 1e999}),
        ("1", {"train_s": "long"}),
        ("1", {"ts": None}),
        ("1", {"ts": 1e999}),
        ("1", {"tag": 'OTHER", "x'}),
        ("laptop", {}),
    ],
    ids=[
        "no round", "a round too many", "a round before the first", "endless", "no number", "no instant", "never",
        "no tag", "no peer's name",
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused_and_changes_nothing(chronicle, told_round, peer, wrong):
    with pytest.raises(DataError, match=peer):
        chronicle.hear(peer, told_round(0, peer, 5.0) | wrong)
    assert tags(chronicle.end("failed", "", START_S)) == ["SHUTDOWN"]


def test_where_a_wrong_record_was_read_is_named(chronicle, told_round):
    with pytest.raises(DataError, match=r"^1\.jsonl:7: PEER_ROUND of peer 1: "):
        chronicle.hear("1", told_round(0, "1", 5.0) | {"ts": "now"}, "1.jsonl:7")


def test_records_of_other_kinds_are_passed_over(chronicle):
    assert chronicle.hear("1", {"ts": 1.0, "tag": "OF_THE_FUTURE"}) == []
