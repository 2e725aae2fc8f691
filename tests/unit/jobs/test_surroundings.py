import subprocess
import sys

import pytest

from fedswarm.errors import DataError, DependencyError, JobError, ModelError
from fedswarm.jobs import surroundings
from fedswarm.jobs.load import parse_job


@pytest.fixture
def mistake_in(tmp_path):
    """The lines told about a job whose relative paths start in ``tmp_path``."""

    def told(text, error=DataError):
        with pytest.raises(error) as caught:
            parse_job(text, "job.yml", here=tmp_path)
        assert type(caught.value) is error
        return str(caught.value)

    return told


def test_everything_that_is_amiss_is_told_at_once(mistake_in):
    text = """rounds: 0
model: {name: resnet}
data: {name: fashion_mnist, folder: nowhere, partition: {kind: data_map, path: map.csv}}
devices: {population: defaults}
training: {local_steps: 1, local_epochs: 1}
"""
    places = [line.split(": ")[:2] for line in mistake_in(text, JobError).splitlines()]
    assert places == [
        ["job.yml:1:9", "rounds"],
        ["job.yml:2:15", "model.name"],
        ["job.yml:3:37", "data.folder"],
        ["job.yml:3:80", "data.partition.path"],
        ["job.yml:4:23", "devices.population"],
        ["job.yml:5:42", "training.local_epochs"],
    ]


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("data: {name: fashon_mnist}", "did you mean fashion_mnist?"),
        ("data: {name: mnist}", "write data.folder: where its IDX files are"),
        ("data: {name: femnist}", "write data.folder: where femnist.npz is"),
        ("data: {folder: images}", "run `fedswarm data fetch --folder images`"),
        ("data: {name: femnist, folder: images}", "there is no folder 'images'"),
        ("data: {name: femnits, folder: data}", "did you mean femnist?"),
        ("data: {name: cifar10, folder: data}", "put the arrays train_x, train_y, test_x, test_y into cifar10.npz"),
        ("data: {name: 'here:load'}", "there is no module 'here'"),
        ("data: {name: 'my data:load'}", "write module:function, e.g. my_data:load"),
        ("data: {partition: {kind: data_map, path: map.csv}}", "there is no file 'map.csv'"),
        ("devices: {population: statik}", "did you mean static?"),
        ("devices: {population: phones.safetensors}", "fedswarm devices synthesize"),
    ],
)
def test_missing_data_come_with_the_way_out(mistake_in, tmp_path, setting, hint):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "femnist.npz").touch()
    assert hint in mistake_in(setting)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet", "did you mean resnet18?"),
        ("transformer", "there are lr, mlp, cnn, resnet18, or module:function"),
        ("'nowhere:build'", "there is no module 'nowhere'"),
        ("'package.nowhere:build'", "there is no module 'package.nowhere'"),
        ("'package.models:'", "write module:function, e.g. my_models:build"),
    ],
)
def test_a_missing_model_comes_with_the_way_out(mistake_in, tmp_path, name, hint):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "models.py").touch()
    assert hint in mistake_in(f"model: {{name: {name}}}", ModelError)


def test_what_is_there_is_found_and_nothing_of_it_is_imported(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("raise SystemError('imported')")
    (tmp_path / "package" / "models.py").write_text("raise SystemError('imported')")
    (tmp_path / "map.csv").touch()
    (tmp_path / "phones.safetensors").touch()
    text = """
model: {name: 'package.models:build'}
data: {name: 'package.models:load', folder: anything, partition: {kind: data_map, path: map.csv}}
devices: {population: phones.safetensors}
"""
    assert parse_job(text, here=tmp_path).job.model.name == "package.models:build"


def test_without_a_place_nothing_is_looked_for():
    assert parse_job("data: {folder: nowhere}").job.data.folder == "nowhere"


def test_names_that_no_file_can_have_are_only_missing(mistake_in):
    assert "there is no folder" in mistake_in(f"data: {{folder: {'x' * 4000}}}")
    assert "there is no folder" in mistake_in('data: {folder: "a\\0b"}')


def test_fedscales_form_is_told_once_and_in_its_words(mistake_in):
    text = "job_conf:\n  - data_set: mnist\n  - model: cnn\n"
    assert len(mistake_in(text, JobError).splitlines()) == 1
    text = "job_conf:\n  - data_set: fashion_mnist\n  - data_dir: nowhere\n  - model: cnn\n"
    assert mistake_in(text).startswith("job.yml:3:15: job_conf.data_dir: there is no folder")


def test_a_path_with_an_unset_variable_is_one_mistake(mistake_in):
    text = "job_conf:\n- data_set: femnist\n- model: cnn\n- data_dir: $NOBODYS/x\n- data_map_file: $NOBODYS/y\n"
    places = [line.split(": ")[:2] for line in mistake_in(text, JobError).splitlines()]
    assert places == [["job.yml:4:13", "job_conf.data_dir"], ["job.yml:5:18", "job_conf.data_map_file"]]


def test_looking_needs_no_torch():
    probe = """
import sys
from pathlib import Path
from fedswarm.jobs.load import parse_job
parse_job("model: {name: 'torch.nn:Module'}", here=Path.cwd())
print("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "False\n"


BLISS = "selection: {policy: bliss, bliss: {%s}}"


def test_a_list_of_devices_that_is_not_there_is_told(mistake_in):
    assert "there is no file 'mine.json'" in mistake_in(BLISS % "model_clusters: mine.json")


def test_a_regressor_whose_package_is_missing_is_told(mistake_in, monkeypatch):
    monkeypatch.setattr(surroundings, "find_spec", lambda name: None)
    told = mistake_in(BLISS % "h: {model: xgboost}", DependencyError)
    assert told.startswith("job.yml:1:47: selection.bliss.h.model: XGBoost is not installed; pip install")


def test_what_another_policy_would_need_need_not_be_there(tmp_path):
    parse_job("selection: {policy: oort, bliss: {model_clusters: mine.json}}", here=tmp_path)
