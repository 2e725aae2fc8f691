"""``python -m services.executor.main``: one executor process.

A launcher may call :func:`prepare` in a parent process and then fork: the children inherit the imported libraries, the
data and the built engine, and pay for none of it again. ``prepare`` opens no channel and starts no thread.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedswarm.aggregation.grid import Grid
from fedswarm.clock import Clock, WallClock
from fedswarm.devices.world import DeviceWorld
from fedswarm.devices.worlds import open_world
from fedswarm.errors import DataError, DependencyError, LaunchError, StoppedError
from fedswarm.jobs.load import load_job
from fedswarm.jobs.resolved import job_digest
from fedswarm.jobs.schema import Job
from fedswarm.records.peer_schema import PeerReady
from fedswarm.records.writer import RecordWriter
from fedswarm.rounds import wire
from fedswarm.rounds.decentralized import DecentralizedPeer, PeerRules
from fedswarm.rounds.executor_core import ExecutorCore
from fedswarm.rounds.peer_core import PeerCore
from fedswarm.rounds.peer_manifests import PeerManifests
from fedswarm.swarm.chunks import MIB
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.shaping import LinkShape
from fedswarm.swarm.topology_choice import topology_of_job, topology_text
from fedswarm.training.task import GradientEngine
from services.executor.decentralized import DecentralizedExecutor
from services.executor.foreman import Foreman
from services.executor.round_diary import RoundDiary, diary_file
from services.executor.session import Session
from services.executor.workbench import Workbench
from services.peer.node import PeerNode
from services.process import entry, launcher_contract
from services.process.server import Server

# The engine that a forking launcher built before this process existed, with the digest of the job it is for.
_prepared: tuple[str, GradientEngine] | None = None


def prepare(job_path: Path) -> None:
    """Builds and warms the engine of this job, for children forked from here."""
    global _prepared
    job = load_job(job_path).job
    _prepared = (job_digest(job), _build_engine(job))


def _engine_for(job: Job) -> GradientEngine:
    if _prepared is not None and _prepared[0] == job_digest(job):
        return _prepared[1]
    return _build_engine(job)


def _build_engine(job: Job) -> GradientEngine:
    try:
        import fedswarm.training.sequential as sequential
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise DependencyError(
            "PyTorch is not installed here; `make setup` installs it (or: pip install torch)"
        ) from error
    clock = WallClock() if job.experiment_mode == "deployment" else None
    engine = sequential.SequentialEngine(job, clock=clock)
    engine.warm()
    return engine


def _own_client(executor_id: str, clients: dict[int, int]) -> int:
    """The client that an executor is in deployment: executor 1 holds the first shard, and so on."""
    ordered = sorted(clients)
    number = int(executor_id) if executor_id.isdecimal() else 0
    if not 1 <= number <= len(ordered):
        raise DataError(
            f"executor {executor_id!r} has no client: in deployment executors are numbered 1 to {len(ordered)}, "
            "one for each client of the partition (data.clients)"
        )
    return ordered[number - 1]


def parse(argv: list[str]) -> argparse.Namespace:
    """The executor's flags."""
    parser = argparse.ArgumentParser(prog="services.executor.main", description="One executor of a fedswarm cluster.")
    parser.add_argument("--job", type=Path, required=True, help="the resolved job.yml")
    parser.add_argument("--run-folder", type=Path, required=True, help="where the run leaves its files")
    parser.add_argument("--executor-id", required=True, help="unique in the run: 1, 2, ...")
    parser.add_argument("--aggregator", help="host:port of the aggregator, if the job has one")
    launcher_contract.add_trackers(parser, required=True)
    launcher_contract.add_arguments(parser)
    return parser.parse_args(argv)


@dataclass(frozen=True)
class _Place:
    """What an executor is made of, whatever its job: ``samples`` are those of all clients, ``hosted`` its own."""

    options: argparse.Namespace
    job: Job
    engine: GradientEngine
    samples: dict[int, int]
    hosted: dict[int, int]
    world: DeviceWorld
    node: PeerNode
    clock: Clock


async def serve(options: argparse.Namespace, stop: asyncio.Event) -> None:
    """Runs until the job is over, its aggregator is lost for good, or ``stop`` is set."""
    job = load_job(options.job).job
    if (options.aggregator is None) != (job.aggregation.mode == "decentralized"):
        raise LaunchError(f"aggregation.mode is {job.aggregation.mode}: --aggregator is for centralized jobs alone")
    place = _take_place(options, job)
    server = Server()
    place.node.register(server)
    target = f"{job.cluster.host}:{await server.start(job.cluster.host, 0)}"
    try:
        if options.aggregator is None:
            await _serve_as_peer(place, target, stop)
        else:
            await _serve_aggregator(place, target, stop)
    finally:
        await place.node.close()
        await server.stop()


def _take_place(options: argparse.Namespace, job: Job) -> _Place:
    engine = _engine_for(job)
    ids, counts = engine.clients()
    samples = hosted = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    if job.experiment_mode == "deployment":
        hosted = {own: samples[own] for own in [_own_client(options.executor_id, samples)]}
    world = open_world(job).make(ids)
    clock = WallClock()
    limits = Limits(pipeline_bytes=job.exchange.pipeline_mib * MIB)
    shape = _link_shape(job, world, hosted, clock)
    node = PeerNode(options.executor_id, job.job_name, clock, limits=limits, seed=job.seed, shape=shape)
    return _Place(options, job, engine, samples, hosted, world, node, clock)


async def _join(place: _Place, target: str) -> bool:
    """Has the executor's node join the swarm, as the peer that answers at ``target``; whether a tracker answered."""
    job, options = place.job, place.options
    topology = topology_text(topology_of_job(job))
    return await place.node.start(target, options.trackers, topology=topology, founders=job.cluster.executors)


async def _serve_aggregator(place: _Place, target: str, stop: asyncio.Event) -> None:
    """Does what the aggregator says."""
    await _join(place, target)
    options, job, engine, node, clock = place.options, place.job, place.engine, place.node, place.clock
    bench = Workbench(ExecutorCore(engine, place.world, Grid(job.aggregation.grid_bits)))
    foreman = Foreman(job, options.executor_id, engine.layout, bench, node, clock)

    def traffic() -> tuple[int, int]:
        return node.traffic.received, node.traffic.wasted

    session = Session(options.aggregator, foreman, job.cluster.rejoin_timeout_s, traffic, clock)
    registration = wire.registration_message(
        options.executor_id, target, engine.layout, place.hosted, engine.test_blocks, job.job_name, job_digest(job)
    )
    foreman.attach(session, registration)
    launcher_contract.report(options.status_fd, ready=True, target=target)
    try:
        await _until_first(session.run(), foreman.run(), stop.wait())
    finally:
        bench.close()
        await foreman.close()


async def _serve_as_peer(place: _Place, target: str, stop: asyncio.Event) -> None:
    """Goes through the job's rounds with the other peers.

    Raises :class:`StoppedError` if stopped before the end, :class:`LaunchError` for a peer that joins a running job and
    reaches no tracker: it would train alone.
    """
    job, node, peer = place.job, place.node, place.options.executor_id
    client, layout = next(iter(place.hosted)), place.engine.layout
    manifests = PeerManifests.of(job, peer, layout, place.engine.initial_weights())
    core = PeerCore(place.engine, job, peer, client, place.samples, manifests.chunk_weights)
    founders = [str(number) for number in range(1, job.cluster.executors + 1)]
    others = [name for name in founders if name != peer]
    machine = DecentralizedPeer(PeerRules.of(job), core.weight, others, only_linked=job.exchange.reach == "neighbours")
    run_folder = place.options.run_folder
    with RecordWriter(diary_file(run_folder, peer), now=time.time) as writer:
        diary = RoundDiary(writer, peer, core.samples, place.clock, node.traffic)
        executor = DecentralizedExecutor(job, machine, core, layout, manifests, node, diary, place.clock, run_folder)
        try:
            if not await _join(place, target) and peer not in founders:
                named = ", ".join(place.options.trackers) or "none was named (--tracker)"
                raise LaunchError(
                    f"peer {peer} joins a running job and reaches no tracker of it: {named}. "
                    "Is it still running? `fedswarm status` shows the tracker's address."
                )
            diary.write(PeerReady(peer, client, core.samples, layout.size, layout.nbytes))
            launcher_contract.report(place.options.status_fd, ready=True, target=target)
            await _until_first(executor.run(), stop.wait())
        finally:
            await executor.close()
    if not executor.has_finished:
        raise StoppedError(f"peer {peer} was stopped before the job was over")


def _link_shape(job: Job, world: DeviceWorld, clients: dict[int, int], clock: Clock) -> LinkShape:
    """The link that this executor emulates: that of its one client, if the job asks for it."""
    own = world.client_time(next(iter(clients)), 0) if job.experiment_mode == "deployment" else None
    return LinkShape.of_executor(job.exchange.shaping, own, clock.now_s())


async def _until_first(*jobs: Coroutine[Any, Any, object]) -> None:
    """Runs all until one ends, cancels the others, and raises what the first one raised."""
    tasks = [asyncio.create_task(job) for job in jobs]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


def main(argv: list[str] | None = None) -> int:
    """Runs one executor; returns its exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)

    async def run(stop: asyncio.Event) -> None:
        await serve(options, stop)

    return entry.run(run, status_fd=options.status_fd, lifeline_fd=options.lifeline_fd)


if __name__ == "__main__":
    raise SystemExit(main())
