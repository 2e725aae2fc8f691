from __future__ import annotations

import argparse
import json
import os
import threading

import pytest

from services.process import launcher_contract


def test_status_lines_are_json_one_a_line() -> None:
    reader, writer = os.pipe()
    launcher_contract.report(writer, ready=True, target="h:1")
    launcher_contract.report(writer, error="two\nlines", exit_code=20)
    os.close(writer)
    with os.fdopen(reader) as lines:
        status = [json.loads(line) for line in lines]
    assert status == [{"ready": True, "target": "h:1"}, {"error": "two\nlines", "exit_code": 20}]


def test_without_a_descriptor_nothing_is_reported() -> None:
    launcher_contract.report(None, ready=True)


def test_a_launcher_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    launcher_contract.report(writer, ready=True)
    os.close(writer)


def test_the_end_of_the_lifeline_is_noticed_and_bytes_on_it_are_not() -> None:
    reader, writer = os.pipe()
    ended = threading.Event()
    launcher_contract.watch_lifeline(reader, ended.set)
    os.write(writer, b"still here")
    assert not ended.wait(0.05)
    os.close(writer)
    assert ended.wait(20)
    os.close(reader)


def test_the_flags_are_optional() -> None:
    parser = argparse.ArgumentParser()
    launcher_contract.add_arguments(parser)
    assert vars(parser.parse_args([])) == {"status_fd": None, "lifeline_fd": None}
    assert vars(parser.parse_args(["--status-fd", "4", "--lifeline-fd", "5"])) == {"status_fd": 4, "lifeline_fd": 5}


@pytest.mark.parametrize("flags", [["--tracker", "a:1,b:2,[::1]:3"], ["--tracker", "a:1", "--tracker", "b:2, [::1]:3"]])
def test_trackers_can_be_repeated_or_listed(flags):
    parser = argparse.ArgumentParser()
    launcher_contract.add_trackers(parser, required=False)
    assert parser.parse_args(flags).trackers == ["a:1", "b:2", "[::1]:3"]
    assert parser.parse_args([]).trackers == []


@pytest.mark.parametrize("wrong", ["", "a", "a:", ":1", "a:1,", "a:b"])
def test_what_is_no_target_is_told(wrong, capsys):
    parser = argparse.ArgumentParser()
    launcher_contract.add_trackers(parser, required=False)
    with pytest.raises(SystemExit):
        parser.parse_args(["--tracker", wrong])
    assert "is no host:port" in capsys.readouterr().err
