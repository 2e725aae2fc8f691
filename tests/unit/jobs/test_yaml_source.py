from pathlib import Path

import pytest

from fedswarm.errors import JobFileError
from fedswarm.jobs.yaml_source import SOURCE_LIMIT_BYTES, parse_document, parse_value, read_source, resolve_scalar


def plain(text):
    return parse_document(text, "job.yml").root.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4e-5", 4e-5),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-.inf", float("-inf")),
        ("True", True),
        ("~", None),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("9" * 5000, float("inf")),
    ],
)
def test_plain_scalars_follow_the_core_schema(text, value):
    assert resolve_scalar(text) == value
    assert type(resolve_scalar(text)) is type(value)


def test_quoted_scalars_are_text():
    assert plain("a: '1'\nb: \"true\"\nc: |\n  2") == {"a": "1", "b": "true", "c": "2"}


def test_nodes_know_the_places_of_their_key_and_value():
    node = parse_document("a:\n  b:   3\n", "job.yml").root.value["a"].value["b"]
    assert (str(node.key_place), str(node.place)) == ("job.yml:2:3", "job.yml:2:8")


def test_aliases_repeat_a_value():
    assert plain("a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


def test_a_repeated_key_is_recorded_and_the_first_value_kept():
    document = parse_document("s:\n  a: 1\n  a: 2\n", "job.yml")
    (again,) = document.repetitions
    assert document.root.plain() == {"s": {"a": 1}}
    assert (again.path, str(again.place), str(again.first)) == ("s.a", "job.yml:3:3", "job.yml:2:3")


def test_an_alias_bomb_is_refused_before_it_grows():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    with pytest.raises(JobFileError, match="aliases included"):
        plain("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "job.yml: the file is empty"),
        ("# nothing\n", "job.yml: the file is empty"),
        ("null\n", "job.yml: the file is empty"),
        ("a: b: c", r"job.yml:1:5: not YAML: .* in quotes"),
        ("a: 1\n\tb: 2", r"job.yml:2:1: not YAML: .* indent with spaces"),
        ("a: [1", "job.yml:2:1: not YAML"),
        ("a: \x07", r"job.yml:1:4: character U\+0007"),
        ("a: 1\nb: !!python/object:os.system {}", "job.yml:2:4: the tag .* is not read"),
        ("a: &a [*a]", r"job.yml:1:8: \*a refers to no finished &a"),
        ("a: *b", r"job.yml:1:4: \*b refers"),
        ("a: 1\n---\nb: 2", "job.yml:2:1: a second document"),
        ("? [a]\n: b", "job.yml:1:3: a key must be a word"),
        ("[" * 500, "job.yml:1:33: nested more than 32 levels"),
        ("[" * 100_000, r"job.yml:1:\d+: "),  # beyond what the YAML library itself reads
    ],
)
def test_what_is_not_a_job_in_yaml_is_refused_at_its_place(text, message):
    with pytest.raises(JobFileError, match=f"^{message}"):
        plain(text)


def test_values_of_the_command_line_are_placed_at_their_option():
    node = parse_value("{a: 1}", "--set x={a: 1}").root
    assert (node.plain(), str(node.value["a"].place)) == ({"a": 1}, "--set x={a: 1}")


def test_a_source_is_read_without_its_byte_order_mark(tmp_path):
    path = tmp_path / "job.yml"
    path.write_bytes(b"\xef\xbb\xbfrounds: 3\n")
    assert read_source(path) == "rounds: 3\n"


def test_a_missing_file_is_named():
    with pytest.raises(JobFileError, match=r"^nowhere/job.yml: there is no such file"):
        read_source(Path("nowhere/job.yml"))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(JobFileError, match="this is a folder"):
        read_source(tmp_path)


def test_an_oversized_file_is_refused(tmp_path):
    path = tmp_path / "job.yml"
    path.write_bytes(b"#" * (SOURCE_LIMIT_BYTES + 1))
    with pytest.raises(JobFileError, match="larger than"):
        read_source(path)


def test_bytes_that_are_not_utf8_are_located(tmp_path):
    path = tmp_path / "job.yml"
    path.write_bytes(b"rounds: 3\njob_name: \xff\n")
    with pytest.raises(JobFileError, match=r"job.yml:2:11: byte 0xff is not UTF-8"):
        read_source(path)
