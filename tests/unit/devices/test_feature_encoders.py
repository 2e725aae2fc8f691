import json

import numpy as np
import pytest

from fedswarm.devices.device_catalogue import BRANDS, MODEL_CLUSTERS, DeviceCatalogue, load_catalogue
from fedswarm.devices.population import Population
from fedswarm.devices.static_features import (
    largest_charge_mah,
    largest_size_gb,
    os_modernity,
    os_update,
    scaled,
    static_feature_names,
    static_features,
)
from fedswarm.errors import DataError

SMALL = DeviceCatalogue(("Amazon", "HTC"), (("One",), ("Nexus 5", "Nexus 7"), ()))


def features_of(device, catalogue):
    (features,) = static_features(Population.from_profiles([device]).profiles(np.asarray([0])), catalogue)
    return features


def test_the_first_published_device_is_encoded_as_published(device):
    # Appendix A.3 of the dossier: indices count from the start of a vector of g, whose first 15 are windows.
    features = features_of(
        device(
            os="Android 4.4 (KitKat - customized)",
            os_version="4.2.2",
            brand="Amazon",
            model="Fire HDX 8.9 (2014)",
            ram="2 GB RAM",
            internal_memory="16/32/64 GB",
            battery="Non-removable Li-Ion battery",
            cpu_flops=40e9,
            gpu_flops=3.375e9,
            peak_throughput_mbps=433.0,
        ),
        load_catalogue(),
    )
    golden = {15: 0.5, 16: 1.0, 17: 1.0, 49: 1.0, 72: 0.466667, 73: 0.498039, 75: 0.569620, 76: 0.009375, 77: 1.0}
    assert len(features) == 63
    expected = np.zeros(63)
    for index, value in golden.items():
        expected[index - 15] = value
    np.testing.assert_allclose(features, expected, atol=5e-7)


def test_vectors_are_as_long_as_the_lists_and_columns_have_names(device):
    assert len(features_of(device(), SMALL)) == len(static_feature_names(SMALL)) == 8 + 2 + 3


def test_an_unknown_brand_and_model_are_zeros(device):
    assert not features_of(device(brand="Nokia", model="3310"), SMALL)[2:7].any()


def test_brands_and_models_are_found_in_any_case(device):
    features = features_of(device(brand="htc", model="NEXUS 7"), SMALL)
    assert features[2:7].tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("os", "version", "expected"),
    [
        ("Android 2.3 (Gingerbread)", "3.2", (0.1, 1.0)),
        ("Android 2.3 Gingerbread | upgradable to 4.1 Jelly Bean", "2.3.6", (0.4, 0.5)),
        ("", "6.0.1", (0.0, 1.0)),
        ("Android 9 (Pie)", "", (1.0, 0.0)),
        ("Android 9 (Pie)", "0.9", (1.0, 0.0)),
        ("", "0", (0.0, 0.0)),
    ],
)
def test_systems(os, version, expected):
    assert (os_modernity(os), os_update(os, version)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512 MB RAM", 0.5), ("1.5 GB", 1.5), ("8/16/32 GB", 32.0), ("768MB, 2 gb", 2.0), ("None", None)],
)
def test_sizes_in_gigabytes(text, expected):
    assert largest_size_gb(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Li-Ion 2600 mAh battery", 2600.0), ("Li-Po 16.7 Wh", 16.7 * 1000 / 3.7), ("Li-Ion battery", None)],
)
def test_charges_in_milliampere_hours(text, expected):
    assert largest_charge_mah(text) == pytest.approx(expected)


@pytest.mark.parametrize(("value", "expected"), [(None, 0.0), (-5.0, 0.0), (1.0, 0.25), (99.0, 1.0)])
def test_values_are_clipped_to_their_range(value, expected):
    assert scaled(value, (0.0, 4.0)) == expected


def test_the_lists_that_are_installed_have_the_published_sizes():
    catalogue = load_catalogue()
    assert (len(catalogue.brands), len(catalogue.clusters)) == (28, 27)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "must hold a list"),
        ("[1", "is no JSON"),
        ('[{"id": "x"}]', "entry 0"),
        ('[{"models": [5]}]', "5 is no text"),
    ],
)
def test_a_list_that_is_none_is_told(tmp_path, text, told):
    path = tmp_path / "clusters.json"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        load_catalogue(model_clusters=path)


def test_a_missing_list_is_told(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_catalogue(tmp_path / "brands.json", MODEL_CLUSTERS)


def test_lists_of_ones_own_are_read(tmp_path):
    path = tmp_path / "clusters.json"
    path.write_text(json.dumps([{"id": 7, "rank": 1, "models": ["One"]}]))
    assert load_catalogue(BRANDS, path).cluster_position("One") == 0
