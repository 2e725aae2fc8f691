"""Runs of stand-in services through the real command line: how they start, end and fail. No process may survive."""

import json
import signal
import time

import pytest

DEADLINE_S = 60.0

pytestmark = pytest.mark.cluster


@pytest.fixture
def desk(stand_in_desk):
    stand_in_desk.write_job("job_name: demo\nrounds: 3\ncluster: {executors: 2, start_timeout_s: 20}\n")
    return stand_in_desk


@pytest.fixture
def slow_desk(desk):
    """Supervisors need two seconds to come up in its working folder."""
    slow = "import sys, time\nif 'fedswarm.launch.supervisor' in sys.orig_argv:\n    time.sleep(2)\n"
    (desk.folder / "sitecustomize.py").write_text(slow)
    desk.python_path.append(desk.folder)
    return desk


def test_a_run_ends_with_its_aggregator_and_the_driver_says_where_it_lies(desk):
    driver = desk.command("submit", "job.yml")
    desk.until("running")
    (desk.run().path / "finish").touch()
    stdout, stderr = driver.communicate(timeout=DEADLINE_S)
    assert (driver.returncode, stderr) == (0, "")
    assert "finished" in stdout and str(desk.run().path) in stdout
    assert not desk.survivors()
    processes = desk.state().processes
    assert set(processes) == {"tracker", "aggregator", "zygote", "executor-1", "executor-2"}
    assert {record.exit_code for record in processes.values()} == {0}


def test_the_run_folder_holds_the_resolved_job_and_a_log_for_every_process(desk):
    desk.call("submit", "job.yml", "--detach")
    folder = desk.run()
    assert "batch_size" in folder.job_file.read_text()
    assert "the executor is up" in folder.log_file("executor-2").read_text()


def test_json_is_the_only_thing_on_standard_output(desk):
    _, stdout, _ = desk.call("submit", "job.yml", "--json", aggregator="after:0")
    facts = json.loads(stdout)
    assert (facts["state"], facts["run"], facts["exit_code"]) == ("finished", str(desk.run().path), 0)


def test_ctrl_c_stops_the_run(desk):
    driver = desk.command("submit", "job.yml")
    desk.until("running")
    driver.send_signal(signal.SIGINT)
    stdout, _ = driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 130
    assert "stopped" in stdout
    assert not desk.survivors()


def test_a_second_ctrl_c_ends_even_a_deaf_cluster_at_once(desk):
    driver = desk.command("submit", "job.yml", aggregator="deaf", executor="deaf")
    desk.until("running")
    driver.send_signal(signal.SIGINT)
    while "stopping" not in driver.stderr.readline():
        pass
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=8)  # less than the grace of a first Ctrl-C
    assert driver.returncode == 130
    assert desk.state().state == "stopped"
    desk.until_nobody_is_left()


def test_a_stop_during_the_start_leaves_nothing_behind(desk):
    driver = desk.command("submit", "job.yml", tracker="silent")
    desk.eventually(lambda: "tracker" in desk.state().processes, "the tracker's process")
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 130
    assert not desk.survivors()


def test_ctrl_c_while_the_supervisor_starts_stops_the_run(slow_desk):
    driver = slow_desk.command("submit", "job.yml")
    slow_desk.run()
    driver.send_signal(signal.SIGINT)
    _, stderr = driver.communicate(timeout=DEADLINE_S)
    assert (driver.returncode, stderr) == (130, "stopping; Ctrl-C again ends it at once\n")
    assert (slow_desk.state().state, slow_desk.state().exit_code) == ("stopped", 130)
    assert not slow_desk.survivors()


@pytest.mark.parametrize("options", [[], ["--detach"]], ids=["attached", "detached"])
def test_however_often_ctrl_c_is_pressed_during_the_start_the_run_is_stopped(slow_desk, options):
    driver = slow_desk.command("submit", "job.yml", *options)
    slow_desk.run()
    for _ in range(5):
        driver.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, stderr = driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 130
    assert "Traceback" not in stderr
    assert "stopped" in slow_desk.call("list")[1]
    slow_desk.until_nobody_is_left()


def test_a_stop_before_the_supervisor_is_up_is_heeded(slow_desk):
    driver = slow_desk.command("submit", "job.yml", "--detach")
    slow_desk.run()
    assert slow_desk.call("stop", "latest")[0] == 0
    driver.communicate(timeout=DEADLINE_S)
    slow_desk.until_nobody_is_left()
    assert slow_desk.state().state == "stopped"


def test_the_death_of_an_attached_driver_stops_the_run(desk):
    driver = desk.command("submit", "job.yml")
    desk.until("running")
    driver.kill()
    assert desk.until("stopped").exit_code == 130
    desk.until_nobody_is_left()


def test_a_detached_run_outlives_its_driver_until_stop_all(desk):
    code, stdout, _ = desk.call("submit", "job.yml", "--detach")
    assert code == 0
    assert stdout.strip() == str(desk.run().path)
    assert desk.state().state == "running"
    code, stdout, _ = desk.call("stop", "all")
    assert (code, stdout) == (0, f"{desk.run().name}: stopped\n")
    assert not desk.survivors()
    assert "nothing is running" in desk.call("stop", "all")[2]


def test_a_detached_start_that_fails_is_reported_before_the_driver_leaves(desk):
    code, stdout, stderr = desk.call("submit", "job.yml", "--detach", zygote="data")
    assert (code, stdout) == (12, "")
    assert "no folder data/nowhere" in stderr
    desk.until_nobody_is_left()


def test_the_death_of_the_supervisor_ends_its_processes(desk):
    desk.call("submit", "job.yml", "--detach")
    desk.state().supervisor.send(signal.SIGKILL)
    assert "supervisor is gone" in desk.until("failed").error
    desk.until_nobody_is_left()


def test_stop_ends_even_what_a_dead_supervisor_left_behind_deaf(desk):
    desk.call("submit", "job.yml", "--detach", aggregator="deaf")
    desk.state().supervisor.send(signal.SIGKILL)
    assert desk.call("stop", "latest")[0] == 0
    desk.until_nobody_is_left()
    assert desk.run().read_recorded_state().state == "failed"


@pytest.mark.parametrize(
    ("behaviour", "exit_code", "message"),
    [
        ({"aggregator": "error:21:cannot listen on 127.0.0.1:7000"}, 21, "cannot listen on 127.0.0.1:7000"),
        ({"tracker": "exit:3"}, 20, "the tracker ended with exit code 3: the tracker leaves at once"),
        ({"zygote": "crash"}, 20, "the zygote ended with exit code 7"),
        ({"zygote": "data"}, 12, "no folder data/nowhere"),
        ({"executor": "error:14:no such model"}, 14, "no such model"),
    ],
    ids=["port in use", "tracker leaves", "zygote crashes", "data missing", "executor fails"],
)
def test_a_process_that_does_not_come_up_fails_the_run_with_its_own_message(desk, behaviour, exit_code, message):
    code, _, stderr = desk.call("submit", "job.yml", **behaviour)
    assert code == exit_code
    assert message in stderr and "Traceback" not in stderr
    assert not desk.survivors()


def test_a_silent_process_is_given_up_in_time(desk):
    code, _, stderr = desk.call("submit", "job.yml", "--set", "cluster.start_timeout_s=5", aggregator="silent")
    assert code == 20
    assert "the aggregator was not ready after 5 s" in stderr
    assert not desk.survivors()


def test_an_executors_death_is_an_event_and_the_run_goes_on(desk):
    driver = desk.command("submit", "job.yml")
    state = desk.until("running")
    state.processes["executor-1"].identity.send(signal.SIGKILL)
    desk.eventually(lambda: desk.state().events, "an event")
    assert "executor-1 ended with signal 9" in desk.state().events[0].text
    assert desk.state().state == "running"
    driver.send_signal(signal.SIGINT)
    assert "executor-1 ended with signal 9" in driver.communicate(timeout=DEADLINE_S)[0]


def test_an_executors_death_before_it_is_ready_is_an_event_and_the_run_goes_on(desk):
    driver = desk.command("submit", "job.yml", executor_1="silent")
    desk.eventually(lambda: "executor-1" in desk.state().processes, "the executor's process")
    desk.state().processes["executor-1"].identity.send(signal.SIGKILL)
    assert "executor-1 ended with signal 9" in desk.until("running").events[0].text
    (desk.run().path / "finish").touch()
    assert driver.wait(DEADLINE_S) == 0


def test_when_no_executor_comes_up_the_first_ones_end_is_told(desk):
    code, _, stderr = desk.call("submit", "job.yml", executor_1="exit:3", executor_2="exit:4")
    assert code == 20
    assert "the run failed: executor-1 ended with exit code 3: the executor leaves at once" in stderr
    assert not desk.survivors()


def test_an_error_that_one_executor_reports_fails_the_start(desk):
    code, _, stderr = desk.call("submit", "job.yml", executor_1="error:14:no such model")
    assert code == 14
    assert "no such model" in stderr


def test_an_aggregator_that_was_told_to_stop_leaves_a_stopped_run(desk):
    code, stdout, stderr = desk.call("submit", "job.yml", aggregator="stopped:0.2")
    assert (code, stderr) == (130, "")
    assert "stopped" in stdout
    assert (desk.state().state, desk.state().exit_code) == ("stopped", 130)


def test_a_run_without_executors_has_failed(desk):
    driver = desk.command("submit", "job.yml")
    for role, record in desk.until("running").processes.items():
        if role.startswith("executor"):
            record.identity.send(signal.SIGKILL)
    _, stderr = driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 30
    assert "no executor is left (executor-1: signal 9, executor-2: signal 9)" in stderr
    assert not desk.survivors()


def test_executors_outlive_their_zygote_and_are_still_watched(desk):
    desk.call("submit", "job.yml", "--detach")
    processes = desk.state().processes
    processes["zygote"].identity.send(signal.SIGKILL)
    desk.eventually(lambda: desk.state().events, "an event")
    processes["executor-2"].identity.send(signal.SIGKILL)
    desk.eventually(lambda: desk.state().processes["executor-2"].has_ended, "the executor's end is noticed")
    assert desk.state().state == "running"
    desk.call("stop", "latest")
    assert not desk.survivors()


def test_a_crash_of_the_aggregator_ends_everything(desk):
    code, _, stderr = desk.call("submit", "job.yml", aggregator="crash:0.2")
    assert code == 30
    assert "the aggregator ended with exit code 1: a crash as ordered" in stderr
    assert not desk.survivors()
