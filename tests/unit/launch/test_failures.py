import pytest

from fedswarm.errors import DataError, FedswarmError, LaunchError, NumericRangeError, PortInUseError
from fedswarm.launch.failures import describe_exit, error_of


@pytest.mark.parametrize("kind", [DataError, LaunchError, PortInUseError, NumericRangeError])
def test_an_exit_code_gives_its_error_back(kind):
    error = error_of(kind.exit_code, "what happened")
    assert type(error) is kind
    assert str(error) == "what happened"


@pytest.mark.parametrize("code", [1, 3, -9, 255])
def test_an_exit_code_without_an_error_is_a_failed_launch(code):
    assert type(error_of(code, "")) is LaunchError


def test_no_two_errors_share_an_exit_code():
    kinds = [FedswarmError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    codes = [kind.exit_code for kind in kinds if kind.__module__ == "fedswarm.errors"]
    assert len(codes) == len(set(codes))


def test_exits_are_described():
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal 9"
