import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMANDS = ["submit", "status", "list", "logs", "stop", "validate", "schema", "data"]


def test_help_names_every_command(fedswarm):
    code, stdout, _ = fedswarm("--help")
    assert code == 0
    assert all(command in stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(fedswarm, command):
    code, stdout, _ = fedswarm(command, "--help")
    assert code == 0
    assert "Usage: fedswarm" in stdout


def test_a_wrong_command_line_is_exit_code_2(fedswarm):
    assert fedswarm("submitt")[0] == 2
    assert fedswarm("submit")[0] == 2


def test_the_command_line_imports_nothing_heavy():
    heavy = "{'torch', 'pandas', 'grpc', 'matplotlib'}"
    probe = f"import sys, fedswarm.cli.commands; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_the_driver_script_is_the_same_command(pytestconfig, tmp_path):
    script = pytestconfig.rootpath / "driver" / "driver.py"
    command = [sys.executable, str(script), "validate", "nowhere.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 11
    assert "nowhere.yml" in done.stderr and "Traceback" not in done.stderr


def driver(pytestconfig, command, folder):
    script = pytestconfig.rootpath / "driver" / "driver.py"
    line = f"{sys.executable} {script} {command}"
    return subprocess.run(line, shell=True, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize("streams", [">&-", ">&- 2>&-"])
def test_a_command_without_standard_output_works_all_the_same(pytestconfig, tmp_path, streams):
    assert driver(pytestconfig, f"schema {streams}", tmp_path).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device of a full disk is Linux's")
def test_output_that_cannot_be_written_is_one_clear_message(pytestconfig, tmp_path):
    done = driver(pytestconfig, "schema >/dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "cannot write the output: No space left on device; free the disk, or send it elsewhere\n"


@pytest.mark.parametrize("command", ["list", "validate job.yml", "submit job.yml"])
def test_a_working_directory_that_is_gone_is_one_clear_message(pytestconfig, tmp_path, command):
    (tmp_path / "gone").mkdir()
    script = pytestconfig.rootpath / "driver" / "driver.py"
    line = f"cd gone && rmdir ../gone && {sys.executable} {script} {command}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "the working directory is gone; change to one that exists\n"


SLOW_IMPORT = "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(60)\n"


@pytest.mark.parametrize("door", ["driver/driver.py", "fedswarm/cli/main.py"])
def test_ctrl_c_during_the_imports_ends_without_a_word(pytestconfig, tmp_path, door):
    (tmp_path / "typer.py").write_text(SLOW_IMPORT)
    process = subprocess.Popen(
        [sys.executable, str(pytestconfig.rootpath / door), "list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "importing").exists():
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130


def test_without_its_packages_the_driver_says_what_to_run(pytestconfig, tmp_path):
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no typer', name='typer')")
    command = [sys.executable, str(pytestconfig.rootpath / "driver" / "driver.py"), "list"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 13
    assert "typer is not installed; run `make setup`" in done.stderr and "Traceback" not in done.stderr
