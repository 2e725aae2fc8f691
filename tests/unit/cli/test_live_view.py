import io

import pytest

from fedswarm.cli.live_view import PlainView, TerminalView, make_view
from fedswarm.launch.processes import ProcessIdentity
from fedswarm.launch.run_state import ProcessRecord, RunEvent, RunState
from fedswarm.records.summary import RunProgress

STATE = RunState(
    job_name="demo", state="running", created_at="2026-03-01", text_log="log", supervisor=ProcessIdentity.own()
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def feed(view, records, state=STATE):
    progress = RunProgress()
    with view:
        for record in records:
            progress.update(record)
            view.record(record, progress)
        view.refresh(state, progress, now=100.9)


def test_without_a_terminal_every_round_and_test_is_one_line(make_run, records):
    stream = io.StringIO()
    folder = make_run()
    feed(PlainView(folder, stream), records)
    assert stream.getvalue().splitlines() == [
        f"starting {folder.name}",
        "round 1/2  3 participants  clock 1 min 30 s  training loss 2.2500  peers 4.8 MB  aggregator 1.5 kB"
        "  executors 1  0.5 s to go",
        "round 2/2  3 participants  clock 1 h 06 min  training loss 2.2500  peers 9.6 MB  aggregator 3.0 kB"
        "  executors 1  0 s to go",
        "round 2/2  accuracy 0.8125  loss 1.5000",
    ]


def test_without_an_aggregator_it_tells_the_peers_and_the_range_of_their_accuracy(make_run, records):
    records[0]["job"]["aggregation"] = {"mode": "decentralized"}
    records[-2] |= {"top1_min": 0.75, "top1_max": 0.875}
    stream, terminal = io.StringIO(), Terminal()
    feed(PlainView(make_run(), stream), records)
    feed(TerminalView(make_run(), terminal), records)
    lines = stream.getvalue().splitlines()
    assert lines[1] == "round 1/2  1 peers alive  clock 1 min 30 s  training loss 2.2500  peers 4.8 MB  0.5 s to go"
    assert lines[3] == "round 2/2  accuracy 0.8125 (0.7500 to 0.8750)  loss 1.5000"
    assert "peers alive" in terminal.getvalue() and "aggregator" not in terminal.getvalue()


def test_an_event_is_told_once(make_run):
    stream = io.StringIO()
    view = PlainView(make_run(), stream)
    state = STATE.model_copy(update={"events": (RunEvent(at="12:00", text="executor-1 ended with signal 9"),)})
    feed(view, [], state)
    feed(view, [], state)
    assert stream.getvalue().count("executor-1 ended with signal 9") == 1


def test_a_terminal_shows_every_figure(make_run, records):
    terminal = Terminal()
    feed(TerminalView(make_run(), terminal), records[:-2])
    for figure in ("running", "2 of 2", "1 h 06 min", "9.6 MB", "3.0 kB", "time to the end"):
        assert figure in terminal.getvalue()


def test_a_terminal_shows_how_the_start_goes(make_run):
    terminal = Terminal()
    record = ProcessRecord(identity=ProcessIdentity.own(), target="127.0.0.1:9")
    feed(
        TerminalView(make_run(), terminal),
        [],
        STATE.model_copy(update={"state": "starting", "processes": {"tracker": record}}),
    )
    assert "starting (1 processes up)" in terminal.getvalue()


@pytest.mark.parametrize(("stream", "kind"), [(Terminal, TerminalView), (io.StringIO, PlainView)])
def test_the_view_fits_its_stream(make_run, monkeypatch, stream, kind):
    monkeypatch.setattr("sys.stdout", stream())
    assert isinstance(make_view(make_run(), quiet_output=False), kind)


def test_progress_goes_to_standard_error_when_the_output_is_for_programs(make_run, capsys):
    make_view(make_run(), quiet_output=True)
    assert capsys.readouterr().out == ""
