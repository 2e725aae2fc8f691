import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.errors import DataError
from fedswarm.records.reader import read_records
from fedswarm.records.schema import ExecutorLost, RoundSkipped, Shutdown
from fedswarm.records.summary import RunProgress


def progress_of(folder):
    progress = RunProgress()
    for record in read_records(folder):
        progress.update(record)
    return progress


@pytest.fixture
def running(sample, write_run):
    """Two of ten rounds are over; the second ended at wall second 1010."""
    return progress_of(write_run(sample.run(10)[:11]))


def test_nothing_is_known_before_the_first_record():
    progress = RunProgress()
    assert (progress.state, progress.round, progress.rounds, progress.eta_s(0.0)) == ("starting", 0, None, None)


def test_a_running_job_shows_its_round_and_virtual_clock(running):
    assert (running.state, running.round, running.rounds, running.clock_s) == ("running", 2, 10, 523.5)
    assert (running.participants, running.loss, running.clients) == (2, 1.8342, 60)


def test_the_last_test_is_shown(running):
    assert (running.top1, running.test_loss, running.tested_round) == (0.1, 2.3, 0)


def test_bytes_add_up(running):
    assert (running.bytes_aggregator, running.bytes_peers) == (2000, 6000)


def test_a_lost_executor_is_no_longer_alive(sample, write_run):
    progress = progress_of(write_run([*sample.run()[:3], ExecutorLost("2", "killed", 1)]))
    assert progress.executors == {"1"}


def test_the_rest_takes_as_long_as_the_rounds_so_far(running):
    assert running.round_wall_s == 2.0
    assert running.eta_s(1010.0) == 8 * 2.0


def test_time_since_the_last_round_counts_up_to_one_round(running):
    assert running.eta_s(1011.0) == 15.0
    assert running.eta_s(5000.0) == 14.0


def test_a_skipped_round_moves_the_virtual_clock(sample, write_run):
    progress = progress_of(write_run([*sample.run()[:3], RoundSkipped(0, 0.0, 900.0, "nobody online")]))
    assert (progress.skipped_rounds, progress.clock_s) == (1, 900.0)


def test_a_finished_run_needs_no_more_time(sample, write_run):
    progress = progress_of(write_run(sample.run()))
    assert (progress.state, progress.eta_s(9999.0), progress.top1) == ("finished", 0.0, 0.4875)


def test_a_failure_keeps_its_message(write_run):
    progress = progress_of(write_run([Shutdown("failed", 3, 1.0, 1.0, "all executors are gone")]))
    assert (progress.state, progress.message) == ("failed", "all executors are gone")


def test_unknown_tags_are_passed_over():
    progress = RunProgress()
    progress.update({"ts": 5.0, "tag": "OF_THE_FUTURE"})
    assert (progress.state, progress.last_ts) == ("starting", 5.0)


@pytest.mark.parametrize("tag", ["JOB_CONFIG", "ROUND_BEGIN", "ROUND_SUMMARY", "TEST_RESULT", "ROUND_SKIPPED"])
@given(
    keys=st.dictionaries(
        st.sampled_from(["ts", "round", "job", "clock_end", "wall_s", "to_run"]), st.text() | st.none()
    )
)
def test_records_of_the_wrong_shape_cause_no_other_error(tag, keys):
    try:
        RunProgress().update({**keys, "tag": tag})
    except DataError as error:
        assert tag in str(error)


def test_a_peer_that_joined_by_itself_is_alive_while_it_tells_its_rounds():
    progress = RunProgress()

    def tell(tag, **facts):
        progress.update({"tag": tag, "clock_end": 1.0, **facts})

    for peer in ("1", "2"):
        tell("EXECUTOR_JOIN", executor_id=peer)
    for round_number, peers in enumerate(("12", "127", "127", "12"), start=1):
        for peer in peers:
            tell("PEER_ROUND", peer=peer, round=round_number)
        tell("ROUND_SUMMARY", round=round_number)
    assert progress.alive == 3
    tell("ROUND_SUMMARY", round=5)
    assert progress.alive == 2
