import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedswarm.data.partition import make_partition
from fedswarm.errors import DataError
from fedswarm.jobs.schema import DataSection
from fedswarm.randomness import generator

LABELS = generator(0, 0, "labels of this test").integers(0, 10, 2000)


def section(kind, clients=50, **settings):
    rule = {key: settings.pop(key) for key in ("alpha", "shards_per_client", "path") if key in settings}
    return DataSection(clients=clients, partition={"kind": kind, **rule}, **settings)


def as_rows(partition):
    return {int(client): partition.samples(int(client)).tolist() for client in partition.client_ids}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["iid", "dirichlet", "shards"]),
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=200),
    clients=st.integers(1, 40),
    alpha=st.sampled_from([1e-4, 0.1, 1.0, 1e4]),
    seed=st.integers(0, 5),
)
def test_every_sample_is_dealt_exactly_once(kind, labels, clients, alpha, seed):
    partition = make_partition(np.array(labels), section(kind, clients, alpha=alpha), seed)
    assert sorted(partition.indices.tolist()) == list(range(len(labels)))
    assert partition.offsets[0] == 0
    assert partition.offsets[-1] == len(labels)
    assert (np.diff(partition.client_ids) > 0).all()


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=300),
    clients=st.integers(1, 40),
    alpha=st.sampled_from([1e-4, 0.1, 10.0]),
    minimum=st.integers(1, 6),
)
def test_dirichlet_gives_everybody_the_minimum_when_there_are_enough(labels, clients, alpha, minimum):
    enough = len(labels) >= clients * minimum
    rule = section("dirichlet", clients, alpha=alpha, min_samples=minimum if enough else 1)
    partition = make_partition(np.array(labels), rule, 3)
    if enough:
        assert len(partition.client_ids) == clients
        assert partition.sizes.min() >= minimum


@pytest.mark.parametrize("kind", ["iid", "dirichlet", "shards"])
def test_the_same_seed_deals_the_same_hand_and_another_seed_another(kind):
    first, again, other = (as_rows(make_partition(LABELS, section(kind), seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_iid_sizes_differ_by_one_at_most():
    sizes = make_partition(LABELS, section("iid", 37), 0).sizes
    assert sizes.max() - sizes.min() <= 1


def test_iid_golden_hand():
    rows = as_rows(make_partition(np.zeros(6, dtype=np.int64), section("iid", 2), 233))
    assert rows == {0: [1, 2, 4], 1: [0, 3, 5]}


def distinct_labels(partition):
    return np.mean([len(np.unique(LABELS[partition.samples(int(c))])) for c in partition.client_ids])


def test_a_small_alpha_is_skewed_and_a_large_one_is_not():
    skewed, even = (make_partition(LABELS, section("dirichlet", 20, alpha=alpha), 0) for alpha in (0.05, 1000))
    assert distinct_labels(skewed) < 5
    assert distinct_labels(even) == 10


def test_shards_hold_few_labels_and_equal_shares():
    partition = make_partition(np.sort(LABELS % 10), section("shards", 50, shards_per_client=2), 0)
    assert set(partition.sizes) == {40}
    labels = np.sort(LABELS % 10)
    assert max(len(np.unique(labels[partition.samples(int(c))])) for c in partition.client_ids) <= 4


def test_natural_users_keep_their_numbers():
    rows = as_rows(make_partition(LABELS[:5], section("natural"), 0, users=np.array([70, 3, 70, 3, 9])))
    assert rows == {3: [1, 3], 9: [4], 70: [0, 2]}


def test_natural_users_with_names_are_numbered_in_sorted_order():
    rows = as_rows(make_partition(LABELS[:3], section("natural"), 0, users=np.array(["zoe", "ann", "zoe"])))
    assert rows == {0: [1], 1: [0, 2]}


@pytest.mark.parametrize(
    ("users", "complaint"),
    [(None, "needs a data set with users"), (np.array([1, 2]), "expected"), (np.array([0, -1, 2]), "client ids span")],
)
def test_natural_users_that_do_not_fit(users, complaint):
    with pytest.raises(DataError, match=complaint):
        make_partition(LABELS[:3], section("natural"), 0, users=users)


def test_clients_outside_the_admitted_sizes_are_left_out():
    users = np.repeat([1, 2, 3], [1, 2, 4])
    rows = as_rows(make_partition(LABELS[:7], section("natural", min_samples=2, max_samples=3), 0, users=users))
    assert rows == {2: [1, 2]}


def test_nobody_admitted_is_an_error_that_names_the_limits():
    with pytest.raises(DataError, match="holds 100 to any number"):
        make_partition(LABELS, section("iid", 50, min_samples=100), 0)


def test_a_stranger_has_no_samples():
    partition = make_partition(LABELS, section("iid", 5), 0)
    for stranger in (-1, 5):
        with pytest.raises(DataError, match=f"no client {stranger}"):
            partition.samples(stranger)


def write_map(folder, *rows):
    path = folder / "train.csv"
    path.write_text("client_id,sample_path,label_name,label_id\n" + "".join(f"{row}\n" for row in rows))
    return section("data_map", path=str(path))


def test_a_data_map_deals_by_name_in_any_order_and_with_gaps(tmp_path):
    names = ["a.png", "b.png", "c.png"]
    for rows in (["90,c.png,x,1", "4,a.png,x,1", "90,b.png,x,1"], ["4,a.png,x,1", "90,b.png,x,1", "90,c.png,x,1"]):
        partition = make_partition(LABELS[:3], write_map(tmp_path, *rows), 0, sample_names=names)
        assert as_rows(partition) == {4: [0], 90: [1, 2]}


def test_samples_that_a_data_map_does_not_name_belong_to_nobody(tmp_path):
    assert as_rows(make_partition(LABELS[:5], write_map(tmp_path, "1,3,x,0"), 0)) == {1: [3]}


def test_a_data_map_that_deals_a_sample_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="deals sample 3 to clients 1 and 2"):
        make_partition(LABELS[:5], write_map(tmp_path, "1,3,x,0", "2,3,x,0"), 0)


def test_unknown_rows_of_a_data_map_are_reported(tmp_path, caplog):
    rows = [f"1,{sample},x,0" for sample in range(200)] + ["1,missing.png,x,0"]
    make_partition(LABELS, write_map(tmp_path, *rows), 0)
    assert "1 of 201 rows" in caplog.text


def test_a_client_id_that_does_not_fit_the_wire_is_refused(tmp_path):
    with pytest.raises(DataError, match="client ids span"):
        make_partition(LABELS[:5], write_map(tmp_path, f"{2**32},3,x,0"), 0)
