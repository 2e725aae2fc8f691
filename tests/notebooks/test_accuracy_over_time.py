"""The notebook runs from top to bottom on a run that RecordWriter wrote."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from fedswarm.records.client_outcome import ClientOutcome, ClientTimes
from fedswarm.records.schema import ClientInfo, JobConfig, RoundBegin, TestResult
from fedswarm.records.writer import RecordWriter

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "accuracy_over_time.ipynb"


def write_run(folder):
    folder.mkdir(parents=True)
    with RecordWriter(folder / "rounds.jsonl", folder / "small_logging", now=lambda: 1.0) as writer:
        writer.write(JobConfig(job={"job_name": "small", "rounds": 3}, version="0.1", seed=233))
        for index in range(3):
            clock_s = 1800.0 * index
            times = {client: ClientTimes(10.0, 100.0 + 50 * client, 20.0, steps=5) for client in (index, index + 1)}
            writer.write(TestResult(index, clock_s, loss=2.0 - index / 2, top1=0.3 * index, top5=0.9, samples=100))
            writer.write(RoundBegin(index, clock_s, {"algo": "random"}, [0, 1, 2, 3], list(times), list(times)))
            clients = {client: ClientOutcome(spent, "c") for client, spent in times.items()}
            writer.write(ClientInfo(index, clock_s, 1800.0, 1.5, "random", clients))
    return folder


def execute(folder):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return notebook


def figures(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_it_is_committed_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)


def test_it_draws_the_latest_run_below_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("FEDSWARM_RUNS", raising=False)
    write_run(tmp_path / "runs" / "small" / "0412_101500")
    assert figures(execute(tmp_path)) == 7


def test_it_compares_a_run_folder_with_a_text_log(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "a" / "b")
    monkeypatch.setenv("FEDSWARM_RUNS", f"{folder}:{folder / 'small_logging'}")
    notebook = execute(tmp_path)
    tables = [output.data["text/plain"] for cell in notebook.cells for output in cell.get("outputs", [])]
    assert tables[0] == "['a/b', 'small_logging']"
    assert figures(notebook) == 7


def test_without_a_run_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("FEDSWARM_RUNS", raising=False)
    with pytest.raises(CellExecutionError, match="submit a job first"):
        execute(tmp_path)
