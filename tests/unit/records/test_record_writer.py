import inspect
import json
import re

import pytest

from fedswarm import events
from fedswarm.errors import RunFailedError
from fedswarm.records import fedscale_text
from fedswarm.records.reader import read_records
from fedswarm.records.schema import ExecutorLost, TestResult
from fedswarm.records.writer import RecordWriter

LOST = ExecutorLost("1", "gone", 2)


def write(folder, *records, text=None):
    with RecordWriter(folder / "rounds.jsonl", text, now=lambda: 1234.5) as writer:
        for record in records:
            writer.write(record)


def test_a_record_is_one_json_line_with_time_tag_and_schema(tmp_path):
    write(tmp_path, LOST)
    assert (tmp_path / "rounds.jsonl").read_text() == (
        '{"ts": 1234.5, "tag": "EXECUTOR_LOST", "schema": 1, "executor_id": "1", "reason": "gone", "leases": 2}\n'
    )


def test_a_record_is_on_disk_when_write_returns(tmp_path):
    with RecordWriter(tmp_path / "rounds.jsonl", now=lambda: 1.0) as writer:
        writer.write(LOST)
        assert len(read_records(tmp_path)) == 1


def test_opening_again_continues_the_file(tmp_path):
    write(tmp_path, LOST)
    write(tmp_path, LOST)
    assert len(read_records(tmp_path)) == 2


@pytest.mark.parametrize("torn", ['{"ts": 1', "", '{"ts": ' + "9" * 200_000])
def test_opening_again_cuts_a_torn_line(tmp_path, torn):
    write(tmp_path, LOST)
    whole = (tmp_path / "rounds.jsonl").read_bytes()
    (tmp_path / "rounds.jsonl").write_bytes(whole + torn.encode())
    write(tmp_path, LOST)
    assert (tmp_path / "rounds.jsonl").read_bytes() == whole * 2


def test_a_file_of_one_torn_line_is_emptied(tmp_path):
    (tmp_path / "rounds.jsonl").write_text("{")
    write(tmp_path, LOST)
    assert len(read_records(tmp_path)) == 1


def test_the_text_log_has_the_tagged_line_before_the_human_ones(tmp_path):
    text = tmp_path / "small_logging"
    write(tmp_path, TestResult(round=1, clock_s=2.5, loss=1.0, top1=0.5, top5=0.9, samples=10), text=text)
    messages = [line.split("] ", 1)[1] for line in text.read_text().splitlines()]
    tag, payload = messages[0].split(" ", 1)
    assert tag == "[TEST_RESULT]"
    assert json.loads(payload)["top1"] == 0.5
    assert messages[-1].startswith("FL Testing in round: 1,")


def test_text_lines_start_like_the_family_s_and_name_the_place_that_wrote(tmp_path):
    text = tmp_path / "small_logging"
    with RecordWriter(tmp_path / "rounds.jsonl", text, now=lambda: 1234.5) as writer:
        writer.write(LOST)
        place = inspect.currentframe().f_lineno - 1
    prefix = rf"\(\d\d-\d\d\) \d\d:\d\d:\d\d INFO     \[test_record_writer\.py:{place}\] \[EXECUTOR_LOST\] \{{"
    assert re.match(prefix, text.read_text())


def test_a_new_run_starts_its_text_log_anew(tmp_path):
    text = tmp_path / "small_logging"
    text.write_text("of an older run\n")
    write(tmp_path, LOST, text=text)
    assert "older" not in text.read_text()


def test_a_resumed_run_continues_its_text_log(tmp_path):
    text = tmp_path / "small_logging"
    write(tmp_path, LOST, text=text)
    write(tmp_path, LOST, text=text)
    assert len(text.read_text().splitlines()) == 2


def test_a_folder_that_is_missing_is_one_clear_error(tmp_path):
    with pytest.raises(RunFailedError, match=r"cannot write .*nowhere.*No such file"):
        RecordWriter(tmp_path / "nowhere" / "rounds.jsonl", now=lambda: 1.0)


def test_a_text_log_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(RunFailedError, match="Is a directory"):
        RecordWriter(tmp_path / "rounds.jsonl", tmp_path, now=lambda: 1.0)


def test_a_copied_record_keeps_its_own_time_and_tag(tmp_path):
    with RecordWriter(tmp_path / "rounds.jsonl", tmp_path / "log", now=lambda: 9.0) as writer:
        writer.copy({"ts": 5.0, "tag": "PEER_ROUND", "schema": 1, "peer": "3"})
    (record,) = read_records(tmp_path)
    assert record == {"ts": 5.0, "tag": "PEER_ROUND", "schema": 1, "peer": "3"}
    assert '[PEER_ROUND] {"peer": "3"}' in (tmp_path / "log").read_text()


def test_a_line_without_a_record_stands_in_the_text_log_alone(tmp_path):
    with RecordWriter(tmp_path / "rounds.jsonl", tmp_path / "log", now=lambda: 9.0) as writer:
        writer.say(fedscale_text.issue(events.CLIENT_TRAIN, "2"))
    assert read_records(tmp_path) == []
    assert (tmp_path / "log").read_text().endswith("] Issue EVENT (client_train) to EXECUTOR (2)\n")


def test_half_a_pair_of_surrogates_reads_back_as_it_was(tmp_path):
    with RecordWriter(tmp_path / "rounds.jsonl", tmp_path / "log", now=lambda: 1.0) as writer:
        writer.write(ExecutorLost("1", "no folder \udcff", 0))
    (record,) = read_records(tmp_path)
    assert record["reason"] == "no folder \udcff"
