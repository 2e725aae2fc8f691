"""Who holds which training samples: each rule names an owner for every sample, vectorised.

The result depends on the labels, the job's section and the seed alone, so every process deals the same hand by itself.
No torch here: the aggregator may ask who holds how much.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.data.client_map import read_client_map
from fedswarm.errors import DataError
from fedswarm.jobs.schema import DataSection
from fedswarm.randomness import generator

log = logging.getLogger(__name__)

Integers = NDArray[np.int64]

NOBODY: Final = -1
MAX_CLIENT_ID: Final = 2**32 - 1


@dataclass(frozen=True)
class Partition:
    """The clients and their samples, in compressed rows.

    ``client_ids`` is ascending, ``(C,)``; client number *i* holds ``indices[offsets[i] : offsets[i + 1]]``, ascending
    indices of training samples.
    """

    client_ids: Integers
    offsets: Integers
    indices: Integers

    @property
    def sizes(self) -> Integers:
        """Samples each client holds, ``(C,)``."""
        return np.diff(self.offsets)

    def samples(self, client_id: int) -> Integers:
        """Indices of the training samples that ``client_id`` holds; raises :class:`DataError` for a stranger."""
        row = int(np.searchsorted(self.client_ids, client_id))
        if row == len(self.client_ids) or self.client_ids[row] != client_id:
            raise DataError(f"no client {client_id}: this job has {len(self.client_ids)} clients")
        return self.indices[self.offsets[row] : self.offsets[row + 1]]


def make_partition(
    labels: NDArray[np.integer[Any]],
    section: DataSection,
    seed: int,
    users: NDArray[Any] | None = None,
    sample_names: Sequence[str] | None = None,
) -> Partition:
    """Deals the training samples with these ``labels`` (``(N,)``) to clients by ``section.partition``.

    Clients outside ``section.min_samples`` to ``section.max_samples`` are not admitted. Raises :class:`DataError` when
    the data lack what the rule needs or nobody is admitted.
    """
    owners = _owners(labels.astype(np.int64), section, seed, users, sample_names)
    partition = _admit(_rows(owners), section.min_samples, section.max_samples)
    if len(partition.client_ids) == 0:
        upper = "any number" if section.max_samples is None else section.max_samples
        raise DataError(
            f"no client is left: none of them holds {section.min_samples} to {upper} of the {len(labels)} samples; "
            "change data.min_samples, data.max_samples or data.clients"
        )
    return partition


def _owners(
    labels: Integers,
    section: DataSection,
    seed: int,
    users: NDArray[Any] | None,
    sample_names: Sequence[str] | None,
) -> Integers:
    rule = section.partition
    draws = generator(seed, 0, "partition")
    if rule.kind == "iid":
        return iid_owners(len(labels), section.clients, draws)
    if rule.kind == "dirichlet":
        return dirichlet_owners(labels, section.clients, rule.alpha, section.min_samples, draws)
    if rule.kind == "shards":
        return shard_owners(labels, section.clients, rule.shards_per_client, draws)
    if rule.kind == "natural":
        return natural_owners(users, len(labels))
    assert rule.path is not None  # the schema demands it of a data_map
    return mapped_owners(Path(rule.path), len(labels), sample_names)


def iid_owners(samples: int, clients: int, draws: np.random.Generator) -> Integers:
    """A uniformly random deal; sizes differ by one at most."""
    owners = np.arange(samples, dtype=np.int64) % clients
    draws.shuffle(owners)
    return owners


def dirichlet_owners(
    labels: Integers, clients: int, alpha: float, min_samples: int, draws: np.random.Generator
) -> Integers:
    """Each class is split over the clients in proportions drawn from Dirichlet(``alpha``).

    The scheme of Yurochkin et al. 2019 (Bayesian nonparametric federated learning, section 4), in the spirit of Hsu et
    al. 2019 (arXiv:1909.06335, who draw a class mixture per client). Every sample is dealt once. Where those papers
    draw again until everybody has enough, which many clients never do, the richest give to whoever lacks
    ``min_samples``, as long as there are enough samples for all.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    totals = np.bincount(codes, minlength=len(classes))
    # Gamma variates, normalised, are Dirichlet; the floor keeps a tiny alpha from giving a row of zeros.
    shares = np.maximum(draws.gamma(alpha, size=(len(classes), clients)), 1e-300)
    bounds = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    bounds[:, -1] = 1.0
    edges = np.rint(bounds * totals[:, np.newaxis]).astype(np.int64)
    counts = np.diff(edges, axis=1, prepend=0)
    _lift_to_minimum(counts, min(min_samples, len(labels) // clients))
    owners = np.empty(len(labels), dtype=np.int64)
    for code in range(len(classes)):
        owners[draws.permutation(np.flatnonzero(codes == code))] = np.repeat(np.arange(clients), counts[code])
    return owners


def _lift_to_minimum(counts: Integers, minimum: int) -> None:
    """Moves samples in ``counts`` (classes, clients) from the richest until every client has ``minimum``."""
    totals = counts.sum(axis=0)
    richest = [(-int(total), client) for client, total in enumerate(totals)]
    heapq.heapify(richest)
    for client in np.flatnonzero(totals < minimum):
        while totals[client] < minimum:
            giver = heapq.heappop(richest)[1]
            label = int(np.argmax(counts[:, giver]))
            moved = min(minimum - totals[client], totals[giver] - minimum, counts[label, giver])
            for where, change in ((giver, -moved), (client, moved)):
                counts[label, where] += change
                totals[where] += change
            heapq.heappush(richest, (-int(totals[giver]), giver))


def shard_owners(labels: Integers, clients: int, shards_per_client: int, draws: np.random.Generator) -> Integers:
    """Label-sorted samples cut into equal pieces, ``shards_per_client`` random ones to each client.

    The "pathological" split of McMahan et al. 2017 (Communication-efficient learning, section 3).
    """
    shuffled = draws.permutation(len(labels))
    by_label = shuffled[np.argsort(labels[shuffled], kind="stable")]
    pieces = clients * shards_per_client
    holders = draws.permutation(np.arange(pieces, dtype=np.int64) % clients)
    owners = np.empty(len(labels), dtype=np.int64)
    owners[by_label] = holders[np.arange(len(labels)) * pieces // len(labels)]
    return owners


def natural_owners(users: NDArray[Any] | None, samples: int) -> Integers:
    """Each sample's own user: integer users keep their number, others are numbered in sorted order."""
    if users is None:
        raise DataError("partition 'natural' needs a data set with users: add a users array, or choose another kind")
    users = np.asarray(users)
    if users.shape != (samples,):
        raise DataError(f"users have shape {users.shape}, expected ({samples},): one for each training sample")
    if users.dtype.kind not in "iu":
        return np.unique(users, return_inverse=True)[1].astype(np.int64)
    _check_ids(users)
    return users.astype(np.int64)


def mapped_owners(path: Path, samples: int, sample_names: Sequence[str] | None) -> Integers:
    """The owners that a FedScale client map gives (see :mod:`fedswarm.data.client_map`); others stay unowned."""
    mapping = read_client_map(path, samples, sample_names)
    _check_ids(mapping.client_ids)
    if mapping.unknown_rows:
        rows = mapping.unknown_rows + len(mapping.client_ids)
        log.warning("%s: %d of %d rows name samples that the data set lacks: skipped", path, mapping.unknown_rows, rows)
    owners = np.full(samples, NOBODY, dtype=np.int64)
    owners[mapping.sample_indices] = mapping.client_ids
    torn = np.flatnonzero(owners[mapping.sample_indices] != mapping.client_ids)
    if len(torn):
        row = int(torn[0])
        sample = int(mapping.sample_indices[row])
        both = f"{mapping.client_ids[row]} and {owners[sample]}"
        raise DataError(f"{path} deals sample {sample} to clients {both}: a sample belongs to one client")
    return owners


def _check_ids(ids: NDArray[Any]) -> None:
    if len(ids) and (ids.min() < 0 or ids.max() > MAX_CLIENT_ID):
        raise DataError(f"client ids span {ids.min()}..{ids.max()}: they must lie in 0..{MAX_CLIENT_ID}")


def _rows(owners: Integers) -> Partition:
    order = np.argsort(owners, kind="stable")
    order = order[np.searchsorted(owners[order], 0) :]
    ids, sizes = np.unique(owners[order], return_counts=True)
    return Partition(ids, np.concatenate(([0], np.cumsum(sizes))).astype(np.int64), order)


def _admit(partition: Partition, min_samples: int, max_samples: int | None) -> Partition:
    sizes = partition.sizes
    admitted = sizes >= min_samples
    if max_samples is not None:
        admitted &= sizes <= max_samples
    offsets = np.concatenate(([0], np.cumsum(sizes[admitted]))).astype(np.int64)
    return Partition(partition.client_ids[admitted], offsets, partition.indices[np.repeat(admitted, sizes)])
