"""Writes the records of a run without an aggregator: follows ``peers/<id>.jsonl``, tells the run as a whole.

What a peer tells of itself is copied into the run's records at once, under a tag that starts with ``PEER_``;
:class:`Chronicle` decides when a round is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fedswarm.errors import DataError, ModelError
from fedswarm.jobs.schema import Job
from fedswarm.launch.failures import describe_exit
from fedswarm.launch.member import Member
from fedswarm.launch.peer_models import peer_models
from fedswarm.launch.peer_plan import plan_peers
from fedswarm.launch.run_folder import RunFolder
from fedswarm.launch.run_state import Ending
from fedswarm.records.chronicle import Chronicle, Links
from fedswarm.records.peer_schema import PeerReady
from fedswarm.records.reader import Tail, parse_record
from fedswarm.records.schema import ExecutorJoin, ExecutorLost, Record
from fedswarm.records.writer import RecordWriter
from fedswarm.rounds.story import job_config

POLL_S: Final = 0.2
PEER_TAG: Final = "PEER_"


class Chronicler:
    """The records of one run, from its start to its end.

    ``now`` gives seconds since 1970; ``on_fault`` is told of each line of a peer that is no record, with its place:
    that line alone is passed over. Methods raise :class:`RunFailedError` when the run's own files cannot be written.
    """

    def __init__(
        self, folder: RunFolder, job: Job, text_log: Path, now: Callable[[], float], on_fault: Callable[[str], None]
    ) -> None:
        plan = plan_peers(job, None)
        self._links = Links(plan.topology, plan.links, plan.mean_degree, plan.diameter)
        self._folder = folder
        self._now = now
        self._on_fault = on_fault
        self._tails: dict[str, Tail] = {}
        self._members: list[Member] = []
        self._last_word_s = now()
        self._chronicle = Chronicle(map(str, range(1, job.cluster.executors + 1)), job.rounds, now())
        self._writer = RecordWriter(folder.rounds_file, text_log, now=now)
        self._writer.write(job_config(job))
        folder.peers.mkdir(exist_ok=True)

    @property
    def silence_s(self) -> float:
        """Seconds since a peer last told anything, or since the start."""
        return self._now() - self._last_word_s

    def begin(self, executors: Sequence[Member]) -> None:
        """The executors are up: the clock starts."""
        self._members = [member for member in executors if not member.has_ended]
        for member in self._members:
            self._writer.write(ExecutorJoin(_peer_of(member), member.target or "", clients=1))
        for lost in set(executors) - set(self._members):
            self._write(self._chronicle.leave(_peer_of(lost)))
        told = list(self._new_records())
        for peer, record, place in told:
            if record["tag"] == PeerReady.tag:  # it comes before a peer says it is up, so the first reading has all
                self._tell(peer, record, place)
        self._last_word_s = self._now()
        self._write(self._chronicle.begin(self._last_word_s, self._links))
        for peer, record, place in told:
            if record["tag"] != PeerReady.tag:
                self._tell(peer, record, place)

    async def follow(self) -> None:
        """Tells what the peers tell and who ends, until it is cancelled."""
        while True:
            self.poll()
            await asyncio.sleep(POLL_S)

    def poll(self) -> None:
        """Tells what has happened since the last time."""
        ended = [member for member in self._members if member.has_ended]  # before their files: last words count
        self._read()
        for member in ended:
            self._members.remove(member)
            if member.exit_code != 0:
                how = "gone" if member.exit_code is None else describe_exit(member.exit_code)
                self._writer.write(ExecutorLost(_peer_of(member), how, leases=0))
            self._write(self._chronicle.leave(_peer_of(member)))

    def end(self, reason: Ending, message: str) -> None:
        """The run is over and no process of it is left.

        If it has finished, who had to be ended is lost like those that were killed before.
        """
        if reason == "finished":
            self.poll()
        else:
            self._read()
        *rest, shutdown = self._chronicle.end(reason, message, self._now())
        self._write(rest)
        if reason == "finished":
            self._compare_models()
        self._write([shutdown])
        self._writer.close()

    def _read(self) -> None:
        for peer, record, place in self._new_records():
            self._tell(peer, record, place)

    def _new_records(self) -> Iterator[tuple[str, Mapping[str, Any], str]]:
        """Of each peer what it has told since the last time, with the place of each record."""
        for path in sorted(self._folder.peers.glob("*.jsonl")):
            for line, place in self._tails.setdefault(path.stem, Tail(path)).lines():
                try:
                    yield path.stem, parse_record(line, place), place
                except DataError as error:
                    self._pass_over(error)

    def _pass_over(self, error: DataError) -> None:
        self._on_fault(f"passed over what cannot be read: {error}")

    def _compare_models(self) -> None:
        try:
            compared = peer_models(self._folder.checkpoints)
        except ModelError as error:
            self._on_fault(f"the peers' models are not compared: {error}")
        else:
            self._write([] if compared is None else [compared])

    def _tell(self, peer: str, record: Mapping[str, Any], place: str) -> None:
        self._last_word_s = self._now()
        try:
            told, tag = self._chronicle.hear(peer, record, place), record["tag"]
        except DataError as error:
            self._pass_over(error)
            return
        try:
            self._writer.copy({**record, "tag": tag if tag.startswith(PEER_TAG) else PEER_TAG + tag, "peer": peer})
        except RecursionError:
            self._pass_over(DataError(f"{place}: {tag} is nested too deeply to be copied"))
        self._write(told)

    def _write(self, records: Iterable[Record]) -> None:
        for record in records:
            self._writer.write(record)


def _peer_of(member: Member) -> str:
    """The peer that an executor is: that of ``executor-3`` is ``3``."""
    return member.role.partition("-")[2]
