import pytest

from fedswarm.errors import DataError, ModelError
from fedswarm.references import is_reference, resolve


def test_a_colon_makes_a_reference():
    assert is_reference("my.models:tiny")
    assert not is_reference("cnn")


def test_finds_a_function_of_an_installed_module():
    import json

    assert resolve("json:loads", ModelError) is json.loads


def test_finds_a_module_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "my_own_module_of_this_test.py").write_text("def answer():\n    return 42\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert resolve("my_own_module_of_this_test:answer", ModelError)() == 42


@pytest.mark.parametrize("reference", ["no_such_module_anywhere:f", "json:no_such_function", "json:__name__"])
def test_what_cannot_be_resolved_is_the_callers_error_and_names_the_reference(reference):
    with pytest.raises(DataError, match=reference.partition(":")[2] + "|" + reference.partition(":")[0]):
        resolve(reference, DataError)


def test_a_module_that_fails_to_import_is_reported_with_its_own_reason(tmp_path, monkeypatch):
    (tmp_path / "module_that_breaks.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="ZeroDivisionError"):
        resolve("module_that_breaks:anything", ModelError)
