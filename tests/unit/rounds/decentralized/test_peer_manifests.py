from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Layout, TensorSpec
from fedswarm.rounds.peer_manifests import PeerManifests
from fedswarm.swarm.manifest import Key

SIZE = 10_000
LAYOUT = Layout((TensorSpec("w", (SIZE,), True),))
INITIAL = np.zeros(SIZE, dtype=np.float32)


def of(peer: str, initial: Any = INITIAL, layout: Layout = LAYOUT, **exchange: Any) -> PeerManifests:
    return PeerManifests.of(Job.model_validate({"exchange": {"chunk_kib": 16, **exchange}}), peer, layout, initial)


def test_a_peers_update_and_model_are_told_apart() -> None:
    manifests = of("3")
    update, model = manifests.update(4, INITIAL, 60), manifests.model(4, INITIAL)
    assert (update.key, model.key) == (Key(4, "3"), Key(4, "3/model"))
    assert (manifests.update_key("3", 4), manifests.model_key("3", 4)) == (update.key, model.key)
    assert manifests.is_update(update) and not manifests.is_update(model)
    assert manifests.is_model(model) and not manifests.is_model(update)
    assert update.sample_count == 60 and len(update.digests) == 3


def test_a_model_that_lasts_is_a_model_of_another_name_for_neighbours_alone() -> None:
    manifests = of("3")
    lasting, model = manifests.model(4, INITIAL, lasts=True), manifests.model(4, INITIAL)
    assert lasting.key == manifests.model_key("3", 4, lasts=True) != model.key
    assert lasting.key.is_for_neighbours and manifests.is_model(lasting) and not manifests.is_update(lasting)
    assert manifests.is_lasting(lasting) and not manifests.is_lasting(model)


def test_updates_for_neighbours_alone_go_no_further() -> None:
    assert of("3", reach="neighbours").update(4, INITIAL, 60).key.is_for_neighbours
    assert not of("3").update(4, INITIAL, 60).key.is_for_neighbours


def test_peers_of_one_job_find_nothing_to_complain_of() -> None:
    assert of("1").complaint(of("2").update(0, INITIAL + 1, 5)) is None
    assert of("1").complaint(of("2").model(0, INITIAL + 1)) is None


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (of("2", INITIAL + 1), "another initial model"),
        (of("2", layout=Layout((TensorSpec("v", (SIZE,), True),))), "another initial model"),
        (of("2", chunk_kib=32), "chunks have 32768 bytes, not 16384"),
    ],
)
def test_what_does_not_fit_is_told(other: PeerManifests, complaint: str) -> None:
    assert complaint in str(of("1").complaint(other.update(0, INITIAL, 5)))


@pytest.mark.parametrize("samples", [0, 2**41])
def test_a_claim_of_samples_has_bounds(samples: int) -> None:
    assert "claims to have trained" in str(of("1").complaint(of("2").update(0, INITIAL, samples)))


def test_a_vector_of_another_size_is_told() -> None:
    manifests = of("1")
    other = replace(of("2"), origin=manifests.origin)
    assert "400 bytes of float32, not 10000 weights" in str(manifests.complaint(other.update(0, INITIAL[:100], 5)))
