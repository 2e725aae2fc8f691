"""The launcher with the real services: what a user sees when they cannot come up, and that they end as they should."""

import signal
import socket

import pytest

pytestmark = pytest.mark.cluster

JOB = """
job_name: demo
rounds: 100000
model: {name: lr}
data: {clients: 20}
selection: {participants: 4}
training: {local_steps: 1}
cluster: {executors: 2}
"""


@pytest.fixture
def desk(cluster_desk):
    cluster_desk.write_job(JOB)
    return cluster_desk


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("role", ["tracker", "aggregator"])
def test_a_port_in_use_is_one_clear_message(desk, role, taken_port):
    code, _, stderr = desk.call("submit", "job.yml", "--set", f"cluster.{role}_port={taken_port}")
    assert code == 21
    assert f"127.0.0.1:{taken_port}" in stderr and "Traceback" not in stderr
    assert not desk.survivors()


def test_a_missing_data_folder_is_one_clear_message(desk):
    code, _, stderr = desk.call("submit", "job.yml", "--set", "data.folder=nowhere")
    assert code == 12
    assert "nowhere" in stderr and "Traceback" not in stderr
    assert not desk.survivors()


def test_a_broken_torch_is_one_clear_message(desk):
    (desk.folder / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')")
    desk.python_path.append(desk.folder)
    code, _, stderr = desk.call("submit", "job.yml")
    assert code == 13
    assert "torch cannot be imported (OSError: libtorch_cpu.so: cannot open" in stderr and "Traceback" not in stderr
    assert not desk.survivors()


def test_an_executor_that_is_killed_before_it_is_ready_is_not_missed(desk):
    driver = desk.command("submit", "job.yml", "--set", "cluster.start_timeout_s=8", "--set", "rounds=2")
    desk.eventually(lambda: "executor-1" in desk.state().processes, "the executor's process")
    desk.state().processes["executor-1"].identity.send(signal.SIGKILL)
    _, stderr = driver.communicate(timeout=60)
    assert driver.returncode == 0, stderr
    assert "executor-1 ended with signal 9" in desk.state().events[0].text


def test_the_zygote_forks_without_threads(desk):
    desk.call("submit", "job.yml", "--detach")
    assert desk.run().log_file("zygote").read_text() == ""
    desk.call("stop", "all")
    assert not desk.survivors()


def test_ctrl_c_in_the_middle_of_training_stops_everything(desk):
    driver = desk.command("submit", "job.yml")
    desk.eventually(lambda: desk.run().rounds_file.exists(), "records")
    desk.until("running")
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert desk.state().state == "stopped"
    assert not desk.survivors()


def test_an_aggregator_that_is_asked_to_leave_leaves_a_stopped_run(desk):
    driver = desk.command("submit", "job.yml")
    desk.until("running").processes["aggregator"].identity.send(signal.SIGTERM)
    stdout, stderr = driver.communicate(timeout=60)
    assert (driver.returncode, stderr) == (130, "")
    assert "stopped" in stdout
    assert (desk.state().state, desk.state().exit_code) == ("stopped", 130)


@pytest.mark.parametrize("victim", ["driver", "supervisor", "aggregator"])
def test_whoever_is_killed_no_process_stays(desk, victim):
    driver = desk.command("submit", "job.yml")
    state = desk.until("running")
    if victim == "driver":
        driver.kill()
    else:
        identity = state.supervisor if victim == "supervisor" else state.processes[victim].identity
        identity.send(signal.SIGKILL)
    desk.until_nobody_is_left()
    assert desk.state().state == ("stopped" if victim == "driver" else "failed")
