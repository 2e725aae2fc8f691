import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedswarm.errors import DataError, FedswarmError, RunNotFoundError
from fedswarm.records.reader import Tail, parse_record, read_records

LINE = '{"ts": 1.0, "tag": "CHECKPOINT", "schema": 1, "round": %d, "path": "x"}\n'


@pytest.fixture
def file(tmp_path):
    return tmp_path / "rounds.jsonl"


def rounds(records):
    return [record["round"] for record in records]


def test_records_come_back_as_written(sample, write_run):
    records = read_records(write_run(sample.run()))
    assert [record["tag"] for record in records] == [record.tag for record in sample.run()]
    assert [record["ts"] for record in records[:2]] == [1000.0, 1001.0]


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_run_is_named_by_folder_or_file(file, as_folder):
    file.write_text(LINE % 1)
    assert rounds(read_records(file.parent if as_folder else file)) == [1]


def test_a_torn_last_line_is_left_out(file):
    file.write_text(LINE % 1 + (LINE % 2).rstrip())
    assert rounds(read_records(file)) == [1]


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(RunNotFoundError, match="nothing_here"):
        read_records(tmp_path / "nothing_here")


@pytest.mark.parametrize("line", ["{", "7", "[]", "{}", '{"tag": 1}', "[" * 100_000, "\x00\x00"])
def test_a_line_that_is_no_record_is_located(file, line):
    file.write_text(LINE % 1 + line + "\n")
    with pytest.raises(DataError, match=r"rounds\.jsonl:2: not"):
        read_records(file)


@given(st.binary(max_size=200))
def test_no_bytes_cause_anything_but_our_errors(line):
    try:
        assert isinstance(parse_record(line, "x:1"), dict)
    except FedswarmError as error:
        assert str(error).startswith("x:1: ")


def test_reading_needs_no_pandas():
    code = "import sys, fedswarm.records.summary; sys.exit('pandas' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_tail_waits_for_its_file(file):
    tail = Tail(file.parent)
    assert tail.poll() == []
    file.write_text(LINE % 1)
    assert rounds(tail.poll()) == [1]


def test_a_tail_returns_each_record_once(file):
    tail = Tail(file)
    for n in range(3):
        with file.open("a") as log:
            log.write(LINE % n)
        assert rounds(tail.poll()) == [n]
    assert tail.poll() == []


def test_a_tail_leaves_half_a_line_until_it_ends(file):
    tail = Tail(file)
    file.write_text(LINE % 1 + (LINE % 2)[:20])
    assert rounds(tail.poll()) == [1]
    file.write_text(LINE % 1 + LINE % 2)
    assert rounds(tail.poll()) == [2]


def test_a_tail_reads_what_replaced_a_torn_line(file):
    tail = Tail(file)
    file.write_text(LINE % 1 + '{"half')
    tail.poll()
    file.write_text(LINE % 1 + LINE % 7)
    assert rounds(tail.poll()) == [7]


def test_a_tail_starts_over_when_the_file_was_replaced(file):
    tail = Tail(file)
    file.write_text(LINE % 1 + LINE % 2)
    tail.poll()
    file.write_text(LINE % 3)
    assert rounds(tail.poll()) == [3]


def test_a_tail_locates_a_bad_line(file):
    tail = Tail(file)
    file.write_text(LINE % 1)
    tail.poll()
    with file.open("a") as log:
        log.write("no\n")
    with pytest.raises(DataError, match=r"rounds\.jsonl:2"):
        tail.poll()


def test_lines_come_with_their_places_records_or_not(file):
    tail = Tail(file)
    file.write_text(LINE % 1 + "no\n")
    assert [place.rpartition("/")[2] for _, place in tail.lines()] == ["rounds.jsonl:1", "rounds.jsonl:2"]
    with file.open("a") as log:
        log.write(LINE % 3)
    ((line, place),) = tail.lines()
    assert place.endswith("rounds.jsonl:3") and parse_record(line, place)["round"] == 3
