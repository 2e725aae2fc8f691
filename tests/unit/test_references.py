import pytest

from fedswarm.errors import DataError, ModelError
from fedswarm.references import fault_of, is_reference, resolve


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


@pytest.mark.parametrize(
    "reference", ["json:loads", "json.decoder:JSONDecoder", "importlib.metadata:version", "__main__:f"]
)
def test_what_can_be_imported_has_no_fault(reference, tmp_path):
    if reference.startswith("__main__"):
        (tmp_path / "__main__.py").touch()
    assert fault_of(reference, tmp_path) is None


@pytest.mark.parametrize("reference", ["json:", ":loads", "json:a.b", "my models:f", "json..decoder:f", "a:b:c"])
def test_what_is_no_reference_has_a_fault(reference, tmp_path):
    assert fault_of(reference, tmp_path) == "not a module and a function"


@pytest.mark.parametrize("reference", ["nowhere:f", "json.nowhere:f", "json.decoder.nowhere:f", "sys.nowhere:f"])
def test_a_module_that_is_nowhere_is_a_fault(reference, tmp_path):
    assert "there is no module" in fault_of(reference, tmp_path)
