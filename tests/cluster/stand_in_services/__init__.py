"""Services that only come up, end or misbehave as STAND_IN_<ROLE> says: the launcher's own tests need no more.

``exit:CODE`` ends at once; ``error:CODE:TEXT`` reports an error and ends; ``silent`` never reports ready; ``deaf``
ignores SIGTERM and the lifeline until it is killed; ``after:S`` ends regularly after S seconds, ``crash:S`` with code 1
and ``stopped:S`` as one that was asked to stop. Otherwise an aggregator ends regularly once RUN/finish exists, and
executors when it has dismissed them. STAND_IN_EXECUTOR_1 is for one executor alone.

Without an aggregator RUN/finish ends the executors. ``tells:ROUNDS`` writes what a peer would of so many rounds first.
"""

import asyncio
import os
import signal
import sys
import time
from dataclasses import fields
from pathlib import Path

from fedswarm.errors import FedswarmError
from fedswarm.records.peer_schema import PeerReady, PeerRound
from fedswarm.records.schema import TestResult
from fedswarm.records.writer import RecordWriter
from services.process import entry, launcher_contract


def behaviour(role):
    return os.environ.get(f"STAND_IN_{role.upper()}", "").split(":", 2)


def run(role, arguments):
    own = behaviour(f"executor_{arguments.executor_id}") if role == "executor" else [""]
    kind, *details = own if own != [""] else behaviour(role)
    if kind == "exit":
        print(f"the {role} leaves at once")
        return int(details[0])

    async def serve(stop):
        if kind == "error":
            raise type("Reported", (FedswarmError,), {"exit_code": int(details[0])})(details[1])
        if kind == "tells":
            tell_ready(Path(arguments.run_folder) / "peers", arguments.executor_id)
        if kind != "silent":
            launcher_contract.report(arguments.status_fd, ready=True, target="127.0.0.1:9")
        print(f"the {role} is up", flush=True)
        if kind == "tells":
            tell_rounds(Path(arguments.run_folder) / "peers", arguments.executor_id, int(details.pop()))
        if kind == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)  # noqa: ASYNC251 - deaf indeed
        await until_told(stop, role, arguments, float(details[0]) if details else None)
        if kind == "crash":
            print("a crash as ordered", file=sys.stderr)
            os._exit(1)
        if kind == "stopped":
            raise type("Stopped", (FedswarmError,), {"exit_code": 130})("stopped on request")
        if role == "aggregator":
            (Path(arguments.run_folder) / "dismissed").touch()

    lifeline_fd = None if kind == "deaf" else arguments.lifeline_fd
    return entry.run(serve, status_fd=arguments.status_fd, lifeline_fd=lifeline_fd)


async def until_told(stop, role, arguments, patience_s):
    end = {"aggregator": "finish", "executor": "dismissed"}.get(role)
    if role == "executor" and arguments.aggregator is None:
        end = "finish"
    deadline = time.monotonic() + (600 if patience_s is None else patience_s)
    while not stop.is_set() and time.monotonic() < deadline:
        if end is not None and (Path(arguments.run_folder) / end).exists():
            return
        await asyncio.sleep(0.02)


def tell_ready(folder, peer):
    with RecordWriter(folder / f"{peer}.jsonl", now=time.time) as records:
        records.write(PeerReady(peer, int(peer) - 1, samples=10, model_parameters=100, model_bytes=400))


def tell_rounds(folder, peer, rounds):
    figures = dict.fromkeys([field.name for field in fields(PeerRound)], 1) | {"peer": peer, "bytes_received": 500}
    with RecordWriter(folder / f"{peer}.jsonl", now=time.time) as records:
        for index in range(rounds):
            records.write(PeerRound(**figures | {"completed_round": index}))
            records.write(TestResult(index + 1, clock_s=0.0, loss=1.0, top1=int(peer) / 10, top5=0.9, samples=100))
