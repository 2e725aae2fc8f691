from __future__ import annotations

import pytest

from fedswarm.errors import WireError
from fedswarm.swarm.introductions import Introductions


@pytest.fixture
def registry() -> Introductions:
    return Introductions(lease_s=10.0)


def names(leases: list) -> list[str]:
    return [lease.peer_id for lease in leases]


def test_a_newcomer_learns_who_is_there(registry: Introductions) -> None:
    assert registry.announce("j", "a", "h:1", 0.0)[1] == []
    assert names(registry.announce("j", "b", "h:2", 0.0)[1]) == ["a"]
    assert names(registry.announce("j", "c", "h:3", 0.0)[1]) == ["a", "b"]


def test_jobs_do_not_see_each_other(registry: Introductions) -> None:
    registry.announce("j", "a", "h:1", 0.0)
    assert registry.announce("k", "b", "h:2", 0.0)[1] == []


def test_silence_ends_a_lease_and_renewal_keeps_it(registry: Introductions) -> None:
    kept, _ = registry.announce("j", "a", "h:1", 0.0)
    registry.announce("j", "b", "h:2", 0.0)
    assert registry.renew(kept, 9.0)
    assert names(registry.expired(10.5)) == ["b"]


def test_leaving_is_once(registry: Introductions) -> None:
    lease, _ = registry.announce("j", "a", "h:1", 0.0)
    assert registry.leave(lease)
    assert not registry.leave(lease)
    assert registry.peers("j") == []


def test_an_old_stream_cannot_end_a_new_lease(registry: Introductions) -> None:
    old, _ = registry.announce("j", "a", "h:1", 0.0)
    registry.announce("j", "a", "h:9", 1.0)
    assert not registry.renew(old, 2.0)
    assert not registry.leave(old)
    assert [lease.target for lease in registry.peers("j")] == ["h:9"]


@pytest.mark.parametrize(
    ("job", "peer", "target"), [("", "a", "t"), ("j", "", "t"), ("j", "a", ""), ("j", "a" * 999, "t")]
)
def test_impossible_names_are_refused(registry: Introductions, job: str, peer: str, target: str) -> None:
    with pytest.raises(WireError, match="characters"):
        registry.announce(job, peer, target, 0.0)


def test_a_full_job_takes_no_more(registry: Introductions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedswarm.swarm.introductions.MAX_PEERS_PER_JOB", 1)
    registry.announce("j", "a", "h:1", 0.0)
    registry.announce("j", "a", "h:1", 0.0)
    with pytest.raises(WireError, match="1 peers already"):
        registry.announce("j", "b", "h:2", 0.0)
