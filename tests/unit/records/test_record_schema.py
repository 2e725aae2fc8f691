import json

import numpy as np
import pytest

from fedswarm.records import peer_schema, schema
from fedswarm.records.client_outcome import ClientOutcome, ClientTimes
from fedswarm.records.json_line import encode
from fedswarm.records.tags import TAGS


def test_every_record_has_a_tag_of_its_own_that_is_listed():
    names = {**vars(schema), **vars(peer_schema)}.values()
    assert {kind.tag for kind in names if isinstance(getattr(kind, "tag", None), str)} == set(TAGS)
    assert len(TAGS) == len(set(TAGS))


def test_round_begin_has_the_keys_of_the_family(sample):
    payload = sample.begin(12, 4312.75).payload()
    family = {"round", "start_clock", "pacer", "online", "sampled_overcommitted", "to_run", "planned_stragglers"}
    assert family | {"client_times_planned"} <= payload.keys()
    assert payload["client_times_planned"]["17"] == {
        "t_dl": 1.5,
        "t_comp": 200.0,
        "t_ul": 60.25,
        "iters": 75,
        "iters_p1": 75,
        "iters_p2": 0,
        "dropout_frac": 0.0,
    }


def test_summaries_carry_the_next_round_and_the_one_they_describe(sample):
    for record in (sample.summary(12), sample.client_info(12)):
        payload = record.payload()
        assert (payload["round"], payload["completed_round"]) == (13, 12)


def test_the_clock_ends_a_duration_after_it_starts(sample):
    payload = sample.summary(0, 100.0).payload()
    assert (payload["clock_start"], payload["clock_end"], payload["duration"]) == (100.0, 361.75, 261.75)


def test_client_info_has_nine_positions_under_the_mode_s_key(sample):
    payload = sample.client_info(0).payload()
    assert payload["random_client_information"]["17"] == [1.5, 200.0, 60.25, 75, 0, 0.0, 0.0, 91.5, "c"]


def test_client_info_names_what_the_positions_hold(sample):
    client = sample.client_info(0).payload()["clients"]["29"]
    assert (client["t_ul"], client["status"], client["loss"]) == (310.5, "s", None)


def test_numpy_ids_and_numbers_become_plain_json():
    times = ClientTimes(np.float32(1.5), np.float64(2.5), 3, steps=np.int64(4))
    line = encode({"clients": {str(np.int64(7)): times.payload()}, "ids": np.array([1, 2]), "set": {2, 1}})
    assert json.loads(line) == {
        "clients": {
            "7": {"t_dl": 1.5, "t_comp": 2.5, "t_ul": 3, "iters": 4, "iters_p1": 4, "iters_p2": 0, "dropout_frac": 0.0}
        },
        "ids": [1, 2],
        "set": [1, 2],
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), np.float64("-inf")])
def test_numbers_that_are_not_finite_become_null(value):
    assert json.loads(encode({"loss": value, "deep": [{"x": value}], "array": np.array([value, 1.0])})) == {
        "loss": None,
        "deep": [{"x": None}],
        "array": [None, 1.0],
    }


def test_non_ascii_text_is_kept():
    assert encode({"reason": "Übertragung"}) == '{"reason": "Übertragung"}'


def test_a_value_without_json_form_is_refused():
    with pytest.raises(TypeError, match="cannot hold"):
        encode({"x": object()})


def test_positions_default_to_no_utility():
    assert ClientOutcome(ClientTimes(1, 2, 3), "d").positional() == [1, 2, 3, 0, 0, 0.0, 0.0, 0.0, "d"]
