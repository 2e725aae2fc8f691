import pytest

from fedswarm.jobs.vocabulary import keys_of, nearest, setting_at


@pytest.mark.parametrize(
    ("dotted", "takes"),
    [
        ("rounds", "a whole number of at least 1"),
        ("cluster.aggregator_port", "a whole number from 0 to 65535"),
        ("training.momentum", "a number from 0 to below 1"),
        ("training.decay_factor", "a number above 0, at most 1"),
        ("data.partition.kind", "one of iid, dirichlet, shards, natural, data_map"),
        ("exchange.chunk_kib", "a whole number from 16 to 4096, or auto"),
        ("data.folder", "text, or null"),
        ("training.adaptive.enabled", "true or false"),
        ("training", "a section with keys of its own"),
    ],
)
def test_what_a_setting_takes_is_said_in_words(dotted, takes):
    setting = setting_at(tuple(dotted.split(".")))
    assert setting is not None
    assert setting.takes == takes


def test_a_free_key_takes_what_its_mapping_allows():
    assert setting_at(("model", "options", "width")).takes == "a number, text, true or false"


def test_nothing_is_known_below_a_section_or_at_the_root():
    assert setting_at(("training", "nonsense")) is None
    assert setting_at(()) is None


def test_keys_come_in_the_order_of_the_schema():
    assert keys_of(("evaluation",)) == ("interval", "batch_size", "ratio", "before_averaging")


def test_the_nearest_word_ignores_case():
    assert nearest("ROUNDS", ["rounds", "seed"]) == "rounds"
    assert nearest("zebra", ["rounds", "seed"]) is None
