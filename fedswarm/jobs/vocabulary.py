"""What each setting of a job takes, in words: the ground of error messages, did-you-mean hints and the manual.

All of it is derived from the JSON schema of :class:`fedswarm.jobs.schema.Job`, so words cannot drift from rules.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fedswarm.jobs.schema import Job

Path = tuple[str, ...]

LONGEST_WORD: Final = 100


@dataclass(frozen=True)
class Setting:
    """One key of a job: what it takes, in words, what it is for, and its default."""

    path: Path
    takes: str
    description: str
    default: object
    choices: tuple[str, ...] = ()
    is_text: bool = False
    is_section: bool = False

    @property
    def dotted(self) -> str:
        """The path as ``--set`` takes it."""
        return ".".join(self.path)


@cache
def job_schema_of_fields() -> dict[str, Any]:
    """The plain JSON schema of a job, made once."""
    return Job.model_json_schema()


@cache
def settings() -> dict[Path, Setting]:
    """Every key of a job by its path, sections included, in the order of the schema."""
    found: dict[Path, Setting] = {}
    _collect((), job_schema_of_fields(), found)
    return found


def setting_at(path: Path) -> Setting | None:
    """The setting at a path; a free-form key (``model.options.width``) gets what its parent allows for values."""
    known = settings().get(path)
    if known is not None or not path:
        return known
    parent = settings().get(path[:-1])
    if parent is None or parent.is_section:
        return None
    return Setting(path, "a number, text, true or false", "", None)


def keys_of(section: Path) -> tuple[str, ...]:
    """The keys that a section has."""
    return tuple(path[-1] for path in settings() if path[:-1] == section)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The one choice most like a misspelt word, if any is like it."""
    if len(word) > LONGEST_WORD:
        return None
    folded = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.7)
    return folded[matches[0]] if matches else None


def _collect(prefix: Path, section: Mapping[str, Any], found: dict[Path, Setting]) -> None:
    for key, rule in section["properties"].items():
        path = (*prefix, key)
        target = _resolved(rule)
        is_section = "properties" in target
        found[path] = Setting(
            path=path,
            takes="a section with keys of its own" if is_section else _words(target),
            description=rule.get("description", ""),
            default=None if is_section else rule.get("default"),
            choices=tuple(_choices(target)),
            is_text=_takes_text(target),
            is_section=is_section,
        )
        if is_section:
            _collect(path, target, found)


def _resolved(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = rule.get("$ref")
    if reference is None:
        return rule
    resolved: Mapping[str, Any] = job_schema_of_fields()["$defs"][reference.rpartition("/")[2]]
    return resolved


def _choices(rule: Mapping[str, Any]) -> list[str]:
    if "anyOf" in rule:
        return [choice for option in rule["anyOf"] for choice in _choices(option)]
    return list(rule.get("enum", [rule["const"]] if "const" in rule else []))


def _takes_text(rule: Mapping[str, Any]) -> bool:
    options = rule.get("anyOf", [rule])
    return any(option.get("type") == "string" and not _choices(option) for option in options)


def _words(rule: Mapping[str, Any]) -> str:
    if "anyOf" in rule:
        return ", or ".join(_words(option) for option in rule["anyOf"])
    choices = _choices(rule)
    if choices:
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    kind = rule.get("type")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        return noun + _range_words(rule)
    if kind == "boolean":
        return "true or false"
    if kind == "object":
        return "a mapping of names to numbers, text, true or false"
    if kind == "string":
        return f"text of {rule['patternErrorMessage']}" if "patternErrorMessage" in rule else "text"
    return str(kind)


def _range_words(rule: Mapping[str, Any]) -> str:
    least, most = rule.get("minimum"), rule.get("maximum")
    above, below = rule.get("exclusiveMinimum"), rule.get("exclusiveMaximum")
    upper = f" to {most:g}" if most is not None else f" to below {below:g}" if below is not None else ""
    if most is not None and most >= 2**63 - 1:
        upper = " to 2^63 - 1"
    if above is not None:
        return f" above {above:g}" + (f", at most {most:g}" if most is not None else "")
    if least is not None:
        return f" from {least:g}{upper}" if upper else f" of at least {least:g}"
    return ""
