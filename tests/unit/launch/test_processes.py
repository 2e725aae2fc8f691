import os
import signal
import subprocess
import sys

import pytest

from fedswarm.launch.processes import ProcessIdentity, session_members, thread_count


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_running_process_is_alive_until_it_ends(sleeper):
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity.is_alive()
    sleeper.kill()
    sleeper.wait()
    assert not identity.is_alive()


def test_a_zombie_counts_as_ended(sleeper):
    identity = ProcessIdentity.of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.is_alive()


def test_a_process_that_got_the_same_pid_later_is_never_signalled(sleeper):
    namesake = ProcessIdentity(pid=sleeper.pid, started="another boot:1")
    assert not namesake.send(signal.SIGKILL)
    assert sleeper.poll() is None


def test_a_signal_reaches_the_process_it_is_meant_for(sleeper):
    assert ProcessIdentity.of(sleeper.pid).send(signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM


def test_the_identity_of_nobody_matches_nothing(sleeper):
    sleeper.kill()
    sleeper.wait()
    assert not ProcessIdentity.of(sleeper.pid).is_alive()


def test_an_identity_survives_its_way_through_a_file(sleeper):
    identity = ProcessIdentity.of(sleeper.pid)
    assert ProcessIdentity.model_validate_json(identity.model_dump_json()) == identity


def test_session_members_are_found_and_this_process_is_never_among_them(sleeper):
    assert session_members(sleeper.pid) == [sleeper.pid]
    assert os.getpid() not in session_members(os.getsid(0))


def test_native_threads_count():
    assert thread_count() >= 1
