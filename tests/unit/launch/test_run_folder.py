from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedswarm.errors import RunNotFoundError
from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.run_folder import RunFolder, find_run, list_runs, text_log_of
from fedswarm.launch.run_state import SUPERVISOR_GONE, RunState

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NOBODY = ProcessIdentity(pid=1, started="another boot:1")


def a_run(runs: Path, name: str, when: datetime = NOON, **state) -> RunFolder:
    folder = RunFolder.create(runs, name, when)
    facts = {"state": "finished", "supervisor": NOBODY, "text_log": "log"} | state
    folder.write_state(RunState(job_name=name, created_at=when.isoformat(), **facts))
    return folder


def test_a_run_folder_is_named_after_job_and_instant(tmp_path):
    folder = RunFolder.create(tmp_path / "runs", "demo", NOON)
    assert folder.path == tmp_path / "runs" / "demo" / "0301_120000"
    assert folder.logs.is_dir() and folder.checkpoints.is_dir() and folder.metrics.is_dir()


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path):
    names = [RunFolder.create(tmp_path, "demo", NOON).path.name for _ in range(3)]
    assert names == ["0301_120000", "0301_120000_2", "0301_120000_3"]


def test_two_runs_of_one_name_never_write_the_same_text_log(tmp_path):
    runs, usual = tmp_path / "runs", tmp_path / "demo_logging"
    first = RunFolder.create(runs, "demo", NOON)
    assert text_log_of(first, tmp_path) == usual
    a_run(runs, "demo", text_log=str(usual), state="running", supervisor=ProcessIdentity.own())
    third = RunFolder.create(runs, "demo", NOON)
    assert text_log_of(third, tmp_path) == tmp_path / "demo_0301_120000_3_logging"
    other = RunFolder.create(runs, "other", NOON)
    assert text_log_of(other, tmp_path) == tmp_path / "other_logging"


def test_the_text_log_of_a_run_that_is_over_is_written_anew(tmp_path):
    usual = tmp_path / "demo_logging"
    a_run(tmp_path / "runs", "demo", text_log=str(usual))
    assert text_log_of(RunFolder.create(tmp_path / "runs", "demo", NOON), tmp_path) == usual


def test_a_state_survives_its_way_through_the_file(tmp_path):
    folder = a_run(tmp_path, "demo", exit_code=0)
    state = folder.read_state()
    folder.write_state(state)
    assert folder.read_state() == state
    assert [path.name for path in folder.path.glob("run*")] == ["run.json"]  # nothing temporary stays


def test_a_run_whose_supervisor_died_counts_as_failed(tmp_path):
    state = a_run(tmp_path, "demo", state="running").read_state()
    assert (state.state, state.error) == ("failed", SUPERVISOR_GONE)


def test_a_run_with_a_living_supervisor_is_believed(tmp_path):
    assert a_run(tmp_path, "demo", state="running", supervisor=ProcessIdentity.own()).read_state().state == "running"


@pytest.mark.parametrize("content", [None, "", "{", '{"state": "odd"}'])
def test_a_state_that_cannot_be_read_is_reported_with_its_path(tmp_path, content):
    folder = a_run(tmp_path, "demo")
    (folder.path / "run.json").unlink()
    if content is not None:
        (folder.path / "run.json").write_text(content)
    with pytest.raises(RunNotFoundError, match=r"run\.json"):
        folder.read_state()


def test_runs_are_listed_oldest_first_even_across_a_new_year(tmp_path):
    a_run(tmp_path, "b", datetime(2026, 12, 31, 23, 0, tzinfo=UTC))
    a_run(tmp_path, "a", datetime(2027, 1, 1, 1, 0, tzinfo=UTC))
    (tmp_path / "stray" / "folder").mkdir(parents=True)
    assert [folder.name for folder, _ in list_runs(tmp_path)] == ["b/1231_230000", "a/0101_010000"]


def test_a_run_is_found_by_its_job_its_stamp_its_path_or_as_the_latest(tmp_path):
    first = a_run(tmp_path, "demo", NOON)
    second = a_run(tmp_path, "demo", NOON + timedelta(hours=1))
    other = a_run(tmp_path, "other", NOON + timedelta(hours=2))
    assert find_run(tmp_path, "demo") == second
    assert find_run(tmp_path, "demo/0301_120000") == first
    assert find_run(tmp_path, str(first.path)) == first
    assert find_run(tmp_path, "latest") == other


def test_an_unknown_run_is_an_error_that_names_the_known_ones(tmp_path):
    with pytest.raises(RunNotFoundError, match="submit"):
        find_run(tmp_path, "demo")
    a_run(tmp_path, "demo")
    with pytest.raises(RunNotFoundError, match=r"'dem'.*demo/0301_120000"):
        find_run(tmp_path, "dem")
