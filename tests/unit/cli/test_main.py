import subprocess
import sys

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
    probe = "import sys, fedswarm.cli.main; print(sorted({'torch', 'pandas', 'grpc', 'matplotlib'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


def test_the_driver_script_is_the_same_command(pytestconfig, tmp_path):
    script = pytestconfig.rootpath / "driver" / "driver.py"
    command = [sys.executable, str(script), "validate", "nowhere.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 11
    assert "nowhere.yml" in done.stderr and "Traceback" not in done.stderr
