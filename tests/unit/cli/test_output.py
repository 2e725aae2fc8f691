import pytest

from fedswarm.cli.output import columns, duration, number, size


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4_800_000, "4.8 MB"), (2.5e9, "2.5 GB"), (3e12, "3.0 TB")],
)
def test_bytes_come_in_decimal_units(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0386, "0.039 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
     (245, "4 min 05 s"), (3599.6, "1 h 00 min"), (12_000, "3 h 20 min"), (200_000, "55 h 33 min")],
)  # fmt: skip
def test_durations_come_in_the_units_people_use(seconds, text):
    assert duration(seconds) == text


def test_a_missing_number_is_a_dash():
    assert number(None) == "-"
    assert number(0.123456) == "0.1235"


def test_columns_line_up_without_trailing_blanks():
    assert columns([("run", "state"), ("demo/1", "ok")]) == "run     state\ndemo/1  ok"
