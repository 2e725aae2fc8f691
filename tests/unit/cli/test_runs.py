import json

from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.run_state import ProcessRecord, RunEvent


def write(folder, records):
    folder.rounds_file.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_list_shows_every_run_with_its_state(fedswarm, make_run):
    make_run("demo")
    make_run("other", state="failed", error="no executor is left\nmore")
    code, stdout, _ = fedswarm("list")
    assert code == 0
    assert stdout.splitlines() == [
        "run                state     started",
        "demo/0301_120000   finished  2026-03-01T12:00:00",
        "other/0301_130000  failed    2026-03-01T13:00:00  no executor is left",
    ]


def test_list_without_runs_says_so_and_its_json_is_empty(fedswarm):
    assert fedswarm("list")[:2] == (0, "")
    assert json.loads(fedswarm("list", "--json")[1]) == []


def test_status_tells_how_far_a_run_has_come(fedswarm, make_run, records):
    write(make_run(), records)
    code, stdout, _ = fedswarm("status")
    assert code == 0
    assert "2 of 2" in stdout and "0.8125 (after round 2)" in stdout and "9.6 MB" in stdout


def test_status_tells_about_processes_and_events(fedswarm, make_run):
    dead = ProcessRecord(identity=ProcessIdentity(pid=4242, started="x"), has_ended=True, exit_code=-9)
    alive = ProcessRecord(identity=ProcessIdentity.own(), target="127.0.0.1:7000")
    event = RunEvent(at="12:00", text="executor-1 ended with signal 9")
    make_run(processes={"executor-1": dead, "tracker": alive}, events=(event,))
    _, stdout, _ = fedswarm("status", "demo")
    assert "ended with signal 9" in stdout and "127.0.0.1:7000" in stdout and "running" in stdout


def test_status_for_programs(fedswarm, make_run, records):
    folder = make_run(state="failed", exit_code=30, error="no executor is left")
    write(folder, records)
    facts = json.loads(fedswarm("status", "latest", "--json")[1])
    assert facts["run"] == str(folder.path)
    assert (facts["state"], facts["exit_code"], facts["accuracy"], facts["round"]) == ("failed", 30, 0.8125, 2)
    assert facts["bytes_peers"] == 9_600_000


def test_an_unknown_run_is_one_line_and_exit_code_22(fedswarm, make_run):
    make_run("demo")
    code, stdout, stderr = fedswarm("status", "dmo")
    assert (code, stdout) == (22, "")
    assert "'dmo'" in stderr and len(stderr.splitlines()) == 1
