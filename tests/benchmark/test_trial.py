"""Trials with children that do nothing but follow, or break, the order of a trial."""

import os
import sys
import textwrap
from pathlib import Path

import pytest
from network.loopback import Loopback
from trial.company import Company, TrialError
from trial.trial import run_trial

BENCHMARK = Path(__file__).parents[2] / "benchmark"
WITHIN_S = 30.0

OBEDIENT = """
    members = child.meet(pid=os.getpid())
    child.await_go()
    child.finished()
    child.await_stop()
    child.report(members=sorted(members), pid=members[sys.argv[1]]["pid"])
"""


def child(name, body):
    program = (
        f"import os, sys\nsys.path.insert(0, {str(BENCHMARK)!r})\nfrom trial.child import Child\nchild = Child()\n"
    )
    return [sys.executable, "-c", program + textwrap.dedent(body), name]


def trial(**bodies):
    commands = {name: child(name, body) for name, body in bodies.items()}
    return run_trial(Loopback(), commands, list(commands), WITHIN_S)


def test_members_are_introduced_and_their_reports_come_back():
    outcome = trial(a=OBEDIENT, b=OBEDIENT)
    assert {host: report["members"] for host, report in outcome.reports.items()} == {"a": ["a", "b"], "b": ["a", "b"]}
    assert all(report["cpu_s"] >= 0 for report in outcome.reports.values())
    assert outcome.wire_bytes is None


def test_the_slowest_member_ends_the_trial():
    late = OBEDIENT.replace("child.finished()", "import time; time.sleep(0.3); child.finished()")
    outcome = trial(a=late, b=OBEDIENT)
    assert outcome.last_s == outcome.finished_s["a"] >= 0.3


def test_a_member_that_fails_is_named_at_once_with_its_last_words():
    patient = OBEDIENT.replace("child.finished()", "child.await_stop()")
    broken = OBEDIENT.replace("child.finished()", "raise ValueError('no chunk 17')")
    with pytest.raises(TrialError, match=r"(?s)b was to say 'finished' and said: nothing, it ended.*no chunk 17"):
        trial(a=patient, b=broken)


def test_a_member_that_says_something_else_is_named():
    with pytest.raises(TrialError, match=r"a was to say 'ready' and said: .*\"met\""):
        trial(a="child.await_go()")


def test_a_member_that_prints_something_is_named():
    with pytest.raises(TrialError, match="a was to say 'ready' and said: hello"):
        trial(a="print('hello', flush=True)")


def test_a_silent_member_is_given_up_and_ended():
    with Company({"a": child("a", OBEDIENT)}) as company:
        pid = company.gather("ready", WITHIN_S)["a"]["pid"]
        with pytest.raises(TrialError, match="a did not say 'met' within 0 s"):
            company.gather("met", 0.0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_member_whose_parent_goes_away_ends_by_itself():
    with Company({"a": child("a", OBEDIENT)}) as company:
        company.gather("ready", WITHIN_S)
        company.hang_up()
        with pytest.raises(TrialError, match="its parent has gone"):
            company.gather("met", WITHIN_S)
