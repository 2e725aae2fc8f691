import json

import pytest

from fedswarm.launch.processes import ProcessIdentity


@pytest.fixture
def run(make_run):
    folder = make_run()
    folder.log_file("tracker").write_text("(03-01) 12:00:01 INFO up\n(03-01) 12:00:04 INFO bye\n")
    folder.log_file("executor-1").write_text("(03-01) 12:00:02 ERROR broken\nTraceback\n(03-01) 12:00:03 INFO on\n")
    folder.log_file("executor-12").write_text("half a li")
    return folder


def test_logs_are_merged_by_time_and_traces_stay_with_their_line(fedswarm, run):
    assert fedswarm("logs")[1].splitlines() == [
        "tracker | (03-01) 12:00:01 INFO up",
        "executor-1 | (03-01) 12:00:02 ERROR broken",
        "executor-1 | Traceback",
        "executor-1 | (03-01) 12:00:03 INFO on",
        "tracker | (03-01) 12:00:04 INFO bye",
    ]


@pytest.mark.parametrize(("role", "lines"), [("tracker", 2), ("executor", 3), ("executor-1", 3)])
def test_a_role_is_one_process_or_all_of_a_kind(fedswarm, run, role, lines):
    assert len(fedswarm("logs", "demo", "--role", role)[1].splitlines()) == lines


def test_an_unknown_role_is_a_wrong_command_line_that_names_the_known_ones(fedswarm, run):
    code, _, stderr = fedswarm("logs", "--role", "agregator")
    assert code == 2
    assert "agregator" in stderr and "tracker" in stderr


def test_records_are_shown_by_their_tag(fedswarm, run, records):
    run.rounds_file.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert [line[:15] for line in fedswarm("logs", "--tag", "ROUND_SUMMARY")[1].splitlines()] == ["[ROUND_SUMMARY]"] * 2
    both = fedswarm("logs", "--tag", "TEST_RESULT", "--tag", "SHUTDOWN", "--json")[1].splitlines()
    assert [json.loads(line)["tag"] for line in both] == ["TEST_RESULT", "SHUTDOWN"]


@pytest.mark.parametrize(("tag", "hint"), [("test_result", "TEST_RESULT?"), ("LOSS", "ROUND_SUMMARY")])
def test_an_unknown_tag_is_a_wrong_command_line_that_names_the_known_ones(fedswarm, run, tag, hint):
    code, _, stderr = fedswarm("logs", "--tag", tag)
    assert code == 2
    assert hint in stderr


def test_lines_for_programs_name_their_process(fedswarm, run):
    first = json.loads(fedswarm("logs", "--json")[1].splitlines()[0])
    assert first == {"role": "tracker", "line": "(03-01) 12:00:01 INFO up"}


def test_role_and_tag_exclude_each_other(fedswarm, run):
    assert fedswarm("logs", "--role", "tracker", "--tag", "SHUTDOWN")[0] == 2


def test_following_ends_with_the_run_and_misses_nothing(fedswarm, make_run, monkeypatch):
    folder = make_run(state="running", supervisor=ProcessIdentity.own())
    log = folder.log_file("aggregator")
    log.write_text("first\n")
    looks = iter([lambda: log.write_text("first\nsecond\n"), lambda: end(folder, log)])
    monkeypatch.setattr("fedswarm.cli.logs.time.sleep", lambda _: next(looks)())
    code, stdout, _ = fedswarm("logs", "-f")
    assert (code, stdout.splitlines()) == (0, ["aggregator | first", "aggregator | second", "aggregator | third"])


def end(folder, log):
    log.write_text("first\nsecond\nthird\n")
    folder.write_state(folder.read_state().model_copy(update={"state": "finished"}))
