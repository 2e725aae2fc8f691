"""Who is in a job's swarm, as the tracker knows it: leases that must be renewed, joins and leaves. Soft state only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fedswarm.errors import WireError
from fedswarm.swarm.manifest import MAX_NAME_BYTES

MAX_PEERS_PER_JOB: Final = 20_000


@dataclass(frozen=True, slots=True)
class Lease:
    """One announcement of one peer; a later one of the same peer replaces it."""

    job: str
    peer_id: str
    target: str
    number: int


class Introductions:
    """The registry: who announced itself, in which job, and until when that holds."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._jobs: dict[str, dict[str, tuple[Lease, float]]] = {}
        self._announced = 0

    def announce(self, job: str, peer_id: str, target: str, now_s: float) -> tuple[Lease, list[Lease]]:
        """A newcomer's lease, and the peers already there, for it to dial.

        Raises :class:`WireError` for names that are empty or too long, or when the job is full.
        """
        for what, text in (("job", job), ("peer id", peer_id), ("target", target)):
            if not 0 < len(text) <= MAX_NAME_BYTES:
                raise WireError(f"{what} has {len(text)} characters, allowed are 1 to {MAX_NAME_BYTES}")
        peers = self._jobs.get(job, {})
        if len(peers) >= MAX_PEERS_PER_JOB and peer_id not in peers:
            raise WireError(f"job {job!r} has {len(peers)} peers already, no more are introduced")
        others = [lease for lease, _ in peers.values() if lease.peer_id != peer_id]
        self._announced += 1
        lease = Lease(job, peer_id, target, self._announced)
        self._jobs.setdefault(job, {})[peer_id] = (lease, now_s + self._lease_s)
        return lease, others

    def renew(self, lease: Lease, now_s: float) -> bool:
        """Extends a lease; false if it ended or was replaced meanwhile."""
        if not self._is_current(lease):
            return False
        self._jobs[lease.job][lease.peer_id] = (lease, now_s + self._lease_s)
        return True

    def leave(self, lease: Lease) -> bool:
        """Ends a lease; false if it was not the peer's current one, so nobody left."""
        if not self._is_current(lease):
            return False
        del self._jobs[lease.job][lease.peer_id]
        if not self._jobs[lease.job]:
            del self._jobs[lease.job]
        return True

    def expired(self, now_s: float) -> list[Lease]:
        """Leases past their time, for the caller to end."""
        return [lease for peers in self._jobs.values() for lease, until_s in peers.values() if until_s < now_s]

    def peers(self, job: str) -> list[Lease]:
        """Who is in a job, in order of first announcement."""
        return [lease for lease, _ in self._jobs.get(job, {}).values()]

    def _is_current(self, lease: Lease) -> bool:
        present = self._jobs.get(lease.job, {}).get(lease.peer_id)
        return present is not None and present[0] == lease
