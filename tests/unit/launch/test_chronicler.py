"""Peers' files in, the run's records out: without processes, at an instant that the test says."""

import json
from dataclasses import fields

import pytest

from fedswarm.jobs.schema import Job
from fedswarm.launch.chronicler import Chronicler
from fedswarm.launch.member import Member
from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.run_folder import RunFolder
from fedswarm.records.peer_schema import PeerReady, PeerRound
from fedswarm.records.reader import read_records
from fedswarm.records.writer import RecordWriter

JOB = Job.model_validate(
    {
        "rounds": 3,
        "experiment_mode": "deployment",
        "aggregation": {"mode": "decentralized"},
        "cluster": {"executors": 2},
    }
)


class Desk:
    """A chronicler of peers 1 and 2, whose files the test writes."""

    def __init__(self, folder):
        self.folder = RunFolder(folder)
        self.faults = []
        self.chronicler = Chronicler(self.folder, JOB, folder / "log", lambda: 100.0, self.faults.append)
        self.members = [
            Member(f"executor-{number}", ProcessIdentity(pid=1, started=""), folder / "log", lambda member: None)
            for number in (1, 2)
        ]

    def write(self, peer, *records):
        with RecordWriter(self.folder.peers / f"{peer}.jsonl", now=lambda: 101.0) as writer:
            for record in records:
                writer.write(record)

    def spoil(self, peer, line):
        with (self.folder.peers / f"{peer}.jsonl").open("a") as file:
            file.write(line + "\n")

    def told(self, tag):
        return [record for record in read_records(self.folder.path) if record["tag"] == tag]


def peer_round(peer, index):
    figures = dict.fromkeys([field.name for field in fields(PeerRound)], 1)
    return PeerRound(**figures | {"peer": peer, "completed_round": index})


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.chronicler.end("finished", "")


def test_the_federation_is_told_before_what_quick_peers_have_told_already(desk):
    for peer in ("1", "2"):
        desk.write(peer, PeerReady(peer, 0, 10, 100, 400), peer_round(peer, 0))
    desk.chronicler.begin(desk.members)
    tags = [record["tag"] for record in read_records(desk.folder.path)]
    assert tags.index("FEDERATION") < tags.index("ROUND_BEGIN") < tags.index("PEER_ROUND") < tags.index("ROUND_SUMMARY")
    (federation,) = desk.told("FEDERATION")
    assert (federation["samples"], federation["topology"], federation["links"]) == (20, "complete", 1)
    assert (federation["mean_degree"], federation["diameter"]) == (1.0, 1)
    assert "model amount of parameters: 100" in (desk.folder.path / "log").read_text()


NO_RECORDS = {
    "no JSON": "{",
    "no record": "[1]",
    "no instant": json.dumps({"tag": "PEER_ROUND", "completed_round": 1}),
    "no figures": json.dumps({"tag": "PEER_ROUND", "completed_round": 1, "ts": 101.0}),
    "a tag that would break the line": json.dumps({"tag": 'A"\n', "ts": 101.0}),
    "too deep to be copied": json.dumps({"tag": "OTHER", "ts": 1.0})[:-1]
    + ', "x": '
    + "[" * 700
    + "NaN"
    + "]" * 700
    + "}",
}


@pytest.mark.parametrize("line", NO_RECORDS.values(), ids=NO_RECORDS)
def test_a_bad_line_costs_itself_alone_and_is_named(desk, line):
    desk.chronicler.begin(desk.members)
    desk.write("1", peer_round("1", 0))
    desk.spoil("1", line)
    desk.write("1", peer_round("1", 1))
    desk.write("2", peer_round("2", 0), peer_round("2", 1))
    desk.chronicler.poll()
    assert [record["completed_round"] for record in desk.told("ROUND_SUMMARY")] == [0, 1]
    assert [(record["peer"], record["completed_round"]) for record in desk.told("PEER_ROUND")] == [
        ("1", 0), ("1", 1), ("2", 0), ("2", 1)
    ]  # fmt: skip
    (fault,) = desk.faults
    assert "passed over" in fault and f"{desk.folder.peers}/1.jsonl:2: " in fault


def test_a_peer_that_had_to_be_ended_when_the_others_had_finished_is_recorded_as_lost(tmp_path):
    desk = Desk(tmp_path)
    desk.chronicler.begin(desk.members)
    silent, finished = desk.members
    finished.end(0)
    desk.chronicler.poll()
    silent.end(-9)
    desk.chronicler.end("finished", "")
    assert [(record["executor_id"], record["reason"]) for record in desk.told("EXECUTOR_LOST")] == [("1", "signal 9")]


def test_peers_of_a_run_that_was_stopped_are_not_lost(tmp_path):
    desk = Desk(tmp_path)
    desk.chronicler.begin(desk.members)
    for member in desk.members:
        member.end(130)
    desk.chronicler.end("stopped", "")
    assert desk.told("EXECUTOR_LOST") == []
