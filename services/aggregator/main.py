"""``python -m services.aggregator.main``: the aggregator process."""

from __future__ import annotations

import argparse
import asyncio
import functools
import sys
import time
from pathlib import Path

from fedswarm.clock import WallClock
from fedswarm.devices.worlds import open_world
from fedswarm.errors import StoppedError
from fedswarm.jobs.load import load_job
from fedswarm.jobs.resolved import job_digest
from fedswarm.records.writer import RecordWriter
from fedswarm.rounds import messages as msg
from fedswarm.rounds import wire
from fedswarm.swarm.chunks import MIB
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.shaping import LinkShape
from fedswarm.v1 import aggregator_pb2_grpc
from fedswarm.v1.aggregator_pb2 import DESCRIPTOR as AGGREGATOR
from services.aggregator.conductor import Conductor
from services.aggregator.servicer import AggregatorServicer
from services.peer.node import PeerNode
from services.process import entry, launcher_contract
from services.process.server import Server


def parse(argv: list[str]) -> argparse.Namespace:
    """The aggregator's flags."""
    parser = argparse.ArgumentParser(prog="services.aggregator.main", description="The aggregator of a fedswarm run.")
    parser.add_argument("--job", type=Path, required=True, help="the resolved job.yml")
    parser.add_argument("--run-folder", type=Path, required=True, help="where the run leaves its files")
    parser.add_argument("--text-log", type=Path, default=None, help="also write FedScale's log lines here")
    launcher_contract.add_trackers(parser, required=False)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind")
    parser.add_argument("--port", type=int, default=0, help="port to bind; 0 takes a free one")
    launcher_contract.add_arguments(parser)
    return parser.parse_args(argv)


async def serve(options: argparse.Namespace, stop: asyncio.Event) -> None:
    """Runs the job to its end, or until ``stop`` is set."""
    job = load_job(options.job).job
    world = open_world(job)
    limits = Limits(pipeline_bytes=job.exchange.pipeline_mib * MIB)
    shape = LinkShape.of_process(job.exchange.shaping)
    node = PeerNode(wire.SOURCE, job.job_name, limits=limits, seed=job.seed, shape=shape)
    server = Server()
    node.register(server)
    with RecordWriter(options.run_folder / "rounds.jsonl", options.text_log, now=time.time) as records:
        conductor = Conductor(job, job_digest(job), world, node, records, options.run_folder, WallClock())
        register = functools.partial(
            aggregator_pb2_grpc.add_AggregatorServicer_to_server, AggregatorServicer(conductor)
        )
        server.add(AGGREGATOR.services_by_name["Aggregator"].full_name, register)
        target = f"{options.host}:{await server.start(options.host, options.port)}"
        await node.start(target)
        conductor.target = target
        launcher_contract.report(options.status_fd, ready=True, target=target)
        stopper = asyncio.create_task(_stop_when_told(stop, conductor))
        try:
            finish = await conductor.run()
        finally:
            stopper.cancel()
            await node.close()
            await server.stop()
    if finish.error is not None:
        raise finish.error
    if finish.reason == "stopped":
        raise StoppedError("stopped on request; the model so far is saved")


async def _stop_when_told(stop: asyncio.Event, conductor: Conductor) -> None:
    await stop.wait()
    conductor.deliver(msg.StopRequested("asked to stop"))


def main(argv: list[str] | None = None) -> int:
    """Runs the aggregator; returns its exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)

    async def run(stop: asyncio.Event) -> None:
        await serve(options, stop)

    return entry.run(run, status_fd=options.status_fd, lifeline_fd=options.lifeline_fd)


if __name__ == "__main__":
    raise SystemExit(main())
