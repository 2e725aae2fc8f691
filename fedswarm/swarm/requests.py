"""Requests made, repeated and given up: the picker's choices applied to the windows of the holders."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping

from fedswarm.swarm import picker
from fedswarm.swarm.dialogue import Request
from fedswarm.swarm.download import Download
from fedswarm.swarm.holder import Holder
from fedswarm.swarm.manifest import Key


def fill(download: Download, holders: Collection[Holder], now_s: float) -> Iterator[Request]:
    """Asks these holders for as much as their windows allow, always the least loaded first."""
    names = {holder.name: holder for holder in holders}
    queue = [(holder.load, holder.name) for holder in holders]
    heapq.heapify(queue)
    while queue:
        _, name = heapq.heappop(queue)
        holder = names[name]
        if not holder.may_ask(now_s, download.manifest.chunk_bytes):
            continue
        index = _pick(download, name)
        if index is not None:
            yield from _request(download, holder, index, now_s)
            heapq.heappush(queue, (holder.load, name))


def end_game(download: Download, holders: Mapping[str, Holder], now_s: float) -> Iterator[Request]:
    """Repeats, once and elsewhere, the requests that are late although nothing else is left to ask for."""
    if download.unrequested.any():
        return
    for holder in list(holders.values()):
        for (key, index), asked in list(holder.asked.items()):
            alone = key == download.manifest.key and not asked.released and download.requests[index] == 1
            if alone and holder.pace.overdue(now_s - asked.sent_s):
                yield from _repeat(download, holder.name, holders, index, now_s)


def release(holder: Holder, downloads: Mapping[Key, Download]) -> None:
    """Others may now be asked for whatever this holder owes."""
    for (key, index), asked in holder.asked.items():
        if not asked.released and key in downloads:
            downloads[key].requests[index] -= 1
        asked.released = True


def _pick(download: Download, name: str) -> int | None:
    if name != download.manifest.publisher:
        return picker.pick_from_peer(download, name)
    return None if download.fault else picker.pick_from_publisher(download)


def _request(download: Download, holder: Holder, index: int, now_s: float) -> Iterator[Request]:
    key = download.manifest.key
    download.requests[index] += 1
    still_due = holder.asked.get((key, index))
    if still_due is not None:  # asked for before it stalled, and its answer may yet come
        still_due.released = False
        return
    holder.ask(key, index, download.manifest.chunk_size(index), now_s)
    yield Request(holder.name, key, index)


def _repeat(
    download: Download, slow: str, holders: Mapping[str, Holder], index: int, now_s: float
) -> Iterator[Request]:
    size = download.manifest.chunk_size(index)
    others = [
        holders[name]
        for name, member in download.members.items()
        if member.counted and member.held.bits[index] and name != slow and name in holders
    ]
    ready = [other for other in others if other.may_ask(now_s, size)]
    if ready:
        yield from _request(download, min(ready, key=lambda other: (other.load, other.name)), index, now_s)
