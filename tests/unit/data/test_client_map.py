import pytest

from fedswarm.data.client_map import read_client_map
from fedswarm.errors import DataError

HEADER = "client_id,sample_path,label_name,label_id\n"


def write(folder, text):
    path = folder / "map.csv"
    path.write_text(text)
    return path


def test_names_come_before_indices(tmp_path):
    path = write(tmp_path, HEADER + "5,1,x,0\n5,0,x,0\n")
    assert read_client_map(path, 2, ["1", "first"]).sample_indices.tolist() == [0, 0]


def test_label_columns_blank_lines_and_spaces_do_not_matter(tmp_path):
    mapping = read_client_map(write(tmp_path, "client_id, sample_path\n 7 , 1\n\n"), 2)
    assert (mapping.client_ids.tolist(), mapping.sample_indices.tolist()) == ([7], [1])


def test_quoted_names_may_hold_commas(tmp_path):
    path = write(tmp_path, HEADER + '5,"a,b.png",x,0\n')
    assert read_client_map(path, 1, ["a,b.png"]).sample_indices.tolist() == [0]


def test_one_unknown_row_in_a_hundred_is_counted(tmp_path):
    path = write(tmp_path, HEADER + "1,0,x,0\n" * 99 + "1,100,x,0\n")
    mapping = read_client_map(path, 100)
    assert (mapping.unknown_rows, len(mapping.client_ids)) == (1, 99)


def test_more_unknown_rows_mean_another_data_set(tmp_path):
    path = write(tmp_path, HEADER + "1,0,x,0\n" * 98 + "1,100,x,0\n")
    with pytest.raises(DataError, match=r"1 of 99 rows.*belongs to other data"):
        read_client_map(path, 100)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "map.csv:1: the header is ''"),
        ("1,0,x,0\n", "expected 'client_id,sample_path"),
        (HEADER + "1,0,x,0\nann,1,x,0\n", "map.csv:3: 'ann,1,x,0'"),
        (HEADER + "-1,0,x,0\n", "map.csv:2"),
        (HEADER + "1\n", "map.csv:2"),
        (HEADER + f"{2**64},0,x,0\n", "too large"),
    ],
)
def test_what_is_no_client_map_is_refused_with_its_line(tmp_path, text, complaint):
    with pytest.raises(DataError, match=complaint):
        read_client_map(write(tmp_path, text), 10)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("missing.csv", "binary.csv"):
        with pytest.raises(DataError, match="cannot read the client map"):
            read_client_map(tmp_path / name, 10)


def test_names_that_repeat_cannot_be_resolved(tmp_path):
    with pytest.raises(DataError, match="not unique"):
        read_client_map(write(tmp_path, HEADER + "1,a,x,0\n"), 2, ["a", "a"])
