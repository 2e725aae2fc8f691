import json

from fedswarm.cli import data as fedswarm_cli_data


def test_fetch_prints_the_folder_for_the_job_file(fedswarm, monkeypatch):
    monkeypatch.setattr(fedswarm_cli_data, "fetch", lambda name, folder: folder)
    assert fedswarm("data", "fetch")[1] == "data/fashion_mnist\n"
    facts = json.loads(fedswarm("data", "fetch", "--folder", "elsewhere", "--json")[1])
    assert facts == {"name": "fashion_mnist", "folder": "elsewhere"}


def test_an_unknown_data_set_is_exit_code_12(fedswarm):
    assert fedswarm("data", "fetch", "imagenet")[0] == 12
