"""Who is in a job's swarm and whom each is to link with, as a tracker knows it. Soft state only: all of it can be lost.

A peer's *lease* is its announcement, which holds until it ends, is replaced, or is not renewed in time. Of a new link
one side, the newcomer if there is one, is told to dial, the other to expect it; of one that ends, both are told. So
each peer knows all of its neighbours, once a tracker that is new itself has heard of everybody. Nothing here sends:
calls return notices for the shell to pass on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from fedswarm.errors import WireError
from fedswarm.swarm.announcements import Announcement, Publication
from fedswarm.swarm.messages import Address
from fedswarm.swarm.neighbourhoods import ArrangedNeighbourhoods, Change, Neighbourhoods, OpenNeighbourhoods
from fedswarm.swarm.topology import Family, Topology

MAX_JOBS: Final = 256
MAX_PEERS_PER_JOB: Final = 20_000
FOUNDING_S: Final = 20.0  # how long the founders of a job wait for one another

FamilyOf = Callable[[str], Family | None]
"""The form that an announcement's topology describes; ``None`` for everybody with everybody."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one announcement's peer to be listed; a later one of the same peer replaces it."""

    job: str
    peer: str
    number: int


@dataclass(frozen=True, slots=True)
class Notice:
    """What the peer of a lease is to hear: whom to dial, whom to link with no longer (gone from the job or not), and by
    whom it will be dialled."""

    lease: Lease
    joined: tuple[Address, ...] = ()
    left: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Census:
    """A job in numbers: how many peers, how many of them hold all they want, and what they do together."""

    peers: int
    seeds: int
    uplink_bps: int
    held_chunks: int
    wanted_chunks: int
    sent_bytes: int
    received_bytes: int


@dataclass(slots=True)
class _Peer:
    """A listed peer, its lease and until when that holds."""

    announcement: Announcement
    lease: Lease
    until_s: float


@dataclass(slots=True)
class _Job:
    """A job as long as somebody is in it; peers in the order of their first announcements."""

    topology: str
    neighbourhoods: Neighbourhoods
    settles_s: float
    peers: dict[str, _Peer] = field(default_factory=dict)


class Introductions:
    """The registry of one tracker.

    Args:
        lease_s: how long an announcement holds without renewal.
        family_of: reads the topologies of announcements; raises :class:`TopologyError` for what is none.
        seed: of everything that is drawn. Trackers with equal seeds arrange peers that come in the same order alike.
    """

    def __init__(self, lease_s: float, family_of: FamilyOf, seed: int = 0) -> None:
        self._lease_s = lease_s
        self._family_of = family_of
        self._seed = seed
        self._jobs: dict[str, _Job] = {}
        self._leases = 0

    def announce(self, announcement: Announcement, now_s: float) -> tuple[Lease, list[Notice]]:
        """Lists a peer: its lease, and what it and others are to hear; the first notice is its own.

        A peer that is listed already keeps its links. Raises :class:`WireError` for an announcement beyond its bounds,
        of another topology than the job's, or when there is no room; :class:`TopologyError` for an impossible topology.
        """
        announcement.check()
        job = self._job_of(announcement, now_s)
        peer = announcement.address.peer
        known = job.peers.get(peer)
        change = Change() if known else job.neighbourhoods.join(peer, announcement.wanted_peers)
        self._leases += 1
        lease = Lease(announcement.job, peer, self._leases)
        job.peers[peer] = _Peer(announcement, lease, now_s + self._lease_s)
        self._jobs[announcement.job] = job
        neighbours = job.neighbourhoods.neighbours(peer)
        own = Notice(lease, joined=tuple(job.peers[other].announcement.address for other in neighbours))
        if known is None:
            return lease, [own, *_notices(job, change, dialled_by=peer)]
        has_moved = known.announcement.address != announcement.address
        moved = [Notice(job.peers[other].lease, joined=(announcement.address,)) for other in neighbours if has_moved]
        return lease, [own, *moved]

    def renew(self, lease: Lease, announcement: Announcement, now_s: float) -> bool:
        """Extends a lease with the peer's newest figures; false if it ended or was replaced meanwhile.

        Job, address and topology stay what they were. Raises :class:`WireError` as :meth:`announce` does.
        """
        announcement.check()
        present = self._current(lease)
        if present is None:
            return False
        if (announcement.job, announcement.address) != (lease.job, present.announcement.address):
            raise WireError(f"a renewal of {lease.peer!r} in {lease.job!r} tells of another peer, job or address")
        present.announcement = announcement
        present.until_s = now_s + self._lease_s
        return True

    def leave(self, lease: Lease) -> list[Notice]:
        """Ends a lease: what others are to hear, nothing if it had ended or was replaced."""
        if self._current(lease) is None:
            return []
        job = self._jobs[lease.job]
        del job.peers[lease.peer]
        if not job.peers:
            del self._jobs[lease.job]
            return []
        return _notices(job, job.neighbourhoods.leave(lease.peer))

    def expired(self, now_s: float) -> list[Lease]:
        """Leases past their time, for the caller to end."""
        return [peer.lease for job in self._jobs.values() for peer in job.peers.values() if peer.until_s < now_s]

    def is_whole(self, job: str) -> bool:
        """Whether all peers of a job have had time to announce themselves here, so that nobody's links are missing."""
        return job in self._jobs and self._jobs[job].settles_s == math.inf

    def settle(self, now_s: float) -> list[Notice]:
        """Links the founders of jobs that have waited for the others long enough; to be called now and then."""
        notices = []
        for job in self._jobs.values():
            if job.settles_s <= now_s:
                job.settles_s = math.inf
                notices += _notices(job, job.neighbourhoods.settle())
        return notices

    def peers(self, job: str) -> list[Address]:
        """Who is in a job, in order of first announcement."""
        return [peer.announcement.address for peer in self._listed(job)]

    def publications(self, job: str, round_index: int) -> list[Publication]:
        """Who publishes what in a round of a job."""
        return [
            Publication(reference, peer.announcement.address)
            for peer in self._listed(job)
            for reference in peer.announcement.published
            if reference.key.round == round_index
        ]

    def census(self, job: str) -> Census:
        """A job in numbers, all 0 if nobody is in it."""
        announcements = [peer.announcement for peer in self._listed(job)]
        progress = [announcement.progress for announcement in announcements]
        return Census(
            peers=len(announcements),
            seeds=sum(each.is_seed for each in progress),
            uplink_bps=sum(announcement.uplink_bps for announcement in announcements),
            held_chunks=sum(each.held_chunks for each in progress),
            wanted_chunks=sum(each.wanted_chunks for each in progress),
            sent_bytes=sum(each.sent_bytes for each in progress),
            received_bytes=sum(each.received_bytes for each in progress),
        )

    def topology(self, job: str) -> Topology | None:
        """How the peers of a job are linked; ``None`` if nobody is in it. Costs time in proportion to the links."""
        return self._jobs[job].neighbourhoods.topology() if job in self._jobs else None

    def _listed(self, job: str) -> Iterable[_Peer]:
        return self._jobs[job].peers.values() if job in self._jobs else ()

    def _current(self, lease: Lease) -> _Peer | None:
        job = self._jobs.get(lease.job)
        present = None if job is None else job.peers.get(lease.peer)
        return present if present is not None and present.lease == lease else None

    def _job_of(self, announcement: Announcement, now_s: float) -> _Job:
        """The job that an announcement is about, made if there is none; not yet kept."""
        name, peer, topology = announcement.job, announcement.address.peer, announcement.topology
        job = self._jobs.get(name)
        if job is None:
            if len(self._jobs) >= MAX_JOBS:
                raise WireError(f"there are {MAX_JOBS} jobs already: {name!r} finds no room, use another tracker")
            return _Job(topology, self._neighbourhoods_of(announcement), now_s + FOUNDING_S)
        if job.topology != topology:
            raise WireError(
                f"{peer!r} announces the topology {_shown(topology)}, but job {name!r} has {_shown(job.topology)}: "
                "start all peers of a job with the same job file"
            )
        if len(job.peers) >= MAX_PEERS_PER_JOB and peer not in job.peers:
            raise WireError(f"job {name!r} has {len(job.peers)} peers already, no more are introduced")
        return job

    def _neighbourhoods_of(self, announcement: Announcement) -> Neighbourhoods:
        family = self._family_of(announcement.topology)
        if family is None:
            return OpenNeighbourhoods(self._seed)
        return ArrangedNeighbourhoods(family, announcement.founders, self._seed)


def _notices(job: _Job, change: Change, dialled_by: str | None = None) -> list[Notice]:
    """What peers hear of a change. Notices to ``dialled_by`` are left out: it hears of all its links at once."""
    joined: dict[str, list[Address]] = {}
    left: dict[str, list[str]] = {}
    expected: dict[str, list[str]] = {}
    for one, other in sorted(change.added):
        if dialled_by in (one, other):
            expected.setdefault(other if one == dialled_by else one, []).append(str(dialled_by))
        else:
            joined.setdefault(one, []).append(job.peers[other].announcement.address)
            expected.setdefault(other, []).append(one)
    for one, other in sorted(change.removed):
        left.setdefault(one, []).append(other)
        left.setdefault(other, []).append(one)
    return [
        Notice(
            job.peers[peer].lease,
            tuple(joined.get(peer, ())),
            tuple(left.get(peer, ())),
            tuple(expected.get(peer, ())),
        )
        for peer in sorted({*joined, *left, *expected})
        if peer in job.peers
    ]


def _shown(topology: str) -> str:
    return repr(topology[:100]) if topology else "of everybody with everybody"
