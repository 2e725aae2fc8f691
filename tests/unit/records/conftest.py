"""One small run, as records, for all tests of this room."""

import itertools
from types import SimpleNamespace

import pytest

from fedswarm.records.client_outcome import ClientOutcome, ClientTimes
from fedswarm.records.peer_schema import PeerRound, PeerTestResult
from fedswarm.records.schema import (
    ClientInfo,
    ExecutorJoin,
    ExecutorLost,
    Federation,
    JobConfig,
    RoundBegin,
    RoundSummary,
    Shutdown,
    TestResult,
)
from fedswarm.records.spread import Spread
from fedswarm.records.writer import RecordWriter

TIMES = {
    17: ClientTimes(1.5, 200.0, 60.25, steps=75),
    3: ClientTimes(2.5, 100.0, 30.0, steps=75),
    29: ClientTimes(9.5, 120.0, 310.5, steps=75),
}


def begin(round_index, clock_s=0.0):
    return RoundBegin(
        round=round_index,
        clock_start_s=clock_s,
        pacer={"algo": "random"},
        online=[3, 17, 29, 41, 56],
        sampled=[3, 17, 29, 41],
        to_run=[3, 17],
        planned_stragglers=[29],
        planned_times=TIMES,
        executors=["1", "2"],
        feasible_clients=60,
    )


def summary(round_index, clock_s=0.0):
    return RoundSummary(
        completed_round=round_index,
        clock_start_s=clock_s,
        duration_s=261.75,
        completed=[3, 17],
        stragglers=[29],
        dropped=[41],
        loss_avg=1.8342,
        client_times=TIMES,
        wall_s=2.0,
        bytes_sent=400,
        bytes_received=600,
        bytes_peers=3000,
        bytes_wasted=0,
        sampled_clients=4,
        planned_clients=2,
    )


def client_info(round_index, clock_s=0.0):
    return ClientInfo(
        completed_round=round_index,
        clock_start_s=clock_s,
        duration_s=261.75,
        loss_avg=1.8342,
        mode="random",
        clients={
            3: ClientOutcome(TIMES[3], "c", computed_utility=41.5, loss=1.5, samples=300, executor_id="1"),
            17: ClientOutcome(TIMES[17], "c", computed_utility=91.5, loss=2.25, samples=1200, executor_id="2"),
            29: ClientOutcome(TIMES[29], "s"),
        },
    )


def small_run(rounds=2):
    records = [
        JobConfig(job={"job_name": "small", "rounds": rounds, "training": {"batch_size": 16}}, version="0.1", seed=233),
        ExecutorJoin("1", "127.0.0.1:5001", 30),
        ExecutorJoin("2", "127.0.0.1:5002", 30),
        Federation(clients=60, samples=5000, model_parameters=7850, model_bytes=31400),
        TestResult(round=0, clock_s=0.0, loss=2.3, top1=0.1, top5=0.5, samples=2000),
    ]
    for index in range(rounds):
        clock_s = 261.75 * index
        records += [begin(index, clock_s), client_info(index, clock_s), summary(index, clock_s)]
    end_s = 261.75 * rounds
    records += [
        ExecutorLost("2", "connection closed", 1),
        TestResult(round=rounds, clock_s=end_s, loss=1.7021, top1=0.4875, top5=0.79, samples=2000),
        Shutdown("finished", round=rounds, clock_s=end_s, wall_s=5.0),
    ]
    return records


def peer_round(peer, round_index, **figures):
    facts = {
        "samples": 100, "loss": 1.0, "train_s": 2.0, "exchange_s": 1.0, "aggregate_s": 0.1, "evaluate_s": 0.2,
        "sources_complete": 2, "sources_partial": 0, "sources_missing": 0, "arrived": 1.0, "coverage": 1.0,
        "bytes_sent": 10, "bytes_received": 20, "bytes_wasted": 1, "links": 2,
    }  # fmt: skip
    return PeerRound(peer=peer, completed_round=round_index, **(facts | figures))


@pytest.fixture
def sample():
    """Functions that make records of the small run."""
    return SimpleNamespace(
        begin=begin, summary=summary, client_info=client_info, run=small_run, peer_round=peer_round, times=TIMES
    )


@pytest.fixture
def peers_told(sample):
    """Two peers' records of two rounds, and the tests over both, as a run without an aggregator holds them."""
    told = []
    for index in range(2):
        for peer in ("1", "10"):
            told.append({"ts": 5.0, "tag": "PEER_ROUND", **sample.peer_round(peer, index).payload()})
            test = TestResult(index + 1, 5.0, loss=1.0, top1=(int(peer) + index) / 20, top5=0.9, samples=100)
            told.append({"ts": 5.5, "tag": "PEER_TEST_RESULT", **PeerTestResult(peer, test).payload()})
        band = Spread((5.5 + index) / 20, (1 + index) / 20, (10 + index) / 20)
        told.append(TestResult(index + 1, 5.5, 1.0, band.mean, 0.9, 100, over_peers={"top1": band}))
    return told


@pytest.fixture
def write_run(tmp_path):
    """Writes records to a run folder with its text log beside it; the clock says 1000, 1001, ... seconds.

    Dictionaries are another process's records and are copied.
    """

    def write(records):
        ticks = itertools.count(1000.0)
        with RecordWriter(tmp_path / "rounds.jsonl", tmp_path / "small_logging", now=lambda: next(ticks)) as writer:
            for record in records:
                (writer.copy if isinstance(record, dict) else writer.write)(record)
        return tmp_path

    return write
