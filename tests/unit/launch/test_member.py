import signal

import pytest

from fedswarm.errors import DataError, LaunchError, RunFailedError
from fedswarm.launch.member import Member
from fedswarm.launch.processes import ProcessIdentity

NOBODY = ProcessIdentity(pid=1, started="another boot:1")


@pytest.fixture
def changes():
    return []


@pytest.fixture
def member(tmp_path, changes):
    (tmp_path / "tracker.log").write_text("first\nthe last word\n\n")
    return Member("tracker", NOBODY, tmp_path / "tracker.log", lambda member: changes.append(member.role))


async def test_a_ready_service_gives_its_target(member, changes):
    member.hear({"ready": True, "target": "127.0.0.1:7000"})
    await member.until_ready(timeout_s=10)
    assert member.target == "127.0.0.1:7000"
    assert changes == ["tracker"]


async def test_a_reported_error_comes_back_as_itself(member):
    member.hear({"error": "no folder data/x", "exit_code": 12})
    member.end(12)
    with pytest.raises(DataError, match="no folder data/x"):
        await member.until_ready(timeout_s=10)


async def test_an_early_death_without_a_word_quotes_the_log(member):
    member.end(-signal.SIGABRT)
    with pytest.raises(LaunchError, match=r"tracker ended with signal 6: the last word .*tracker\.log"):
        await member.until_ready(timeout_s=10)


async def test_who_is_killed_had_no_last_word(member):
    member.end(-signal.SIGKILL)
    with pytest.raises(LaunchError, match=r"tracker ended with signal 9: somebody killed it, or memory ran out \(its"):
        await member.until_ready(timeout_s=10)


async def test_a_silent_service_is_given_up(member):
    with pytest.raises(LaunchError, match="tracker was not ready after 0 s"):
        await member.until_ready(timeout_s=0)


async def test_a_service_that_was_ready_and_died_counts_as_started(member):
    member.hear({"ready": True})
    member.end(0)
    await member.until_ready(timeout_s=10)
    assert member.has_ended


async def test_a_death_after_the_start_is_a_failed_run(member):
    member.hear({"ready": True})
    member.end(-signal.SIGKILL)
    assert type(member.failure) is RunFailedError


async def test_nothing_is_signalled_after_the_end(member):
    member.end(0)
    member.send(signal.SIGKILL)  # pid 1: this would raise PermissionError or worse
