"""What is wrong with a job, one line a mistake: ``job.yml:LINE:COL: path.to.key: what, why, how to fix``."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fedswarm.errors import FedswarmError, JobError
from fedswarm.jobs.fedscale_arguments import ARGUMENTS, TOP_LEVEL
from fedswarm.jobs.reading import Reading
from fedswarm.jobs.schema import Job
from fedswarm.jobs.section import Section
from fedswarm.jobs.vocabulary import Path, Setting, keys_of, nearest, setting_at, settings
from fedswarm.jobs.yaml_source import CORE_FLOAT, Node, Place, Repetition

SHOWN_CHARACTERS: Final = 60


@dataclass(frozen=True)
class Mistake:
    """One line of an error; as text it is printable, whatever keys and values the file has.

    ``kind`` is the error that it would be alone; a setting of ``mended_by`` on the command line makes up for it.
    """

    place: Place
    path: str
    text: str
    kind: type[FedswarmError] = JobError
    mended_by: tuple[Path, ...] = ()

    def __str__(self) -> str:
        line = ": ".join(part for part in (str(self.place), self.path, self.text) if part)
        return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)


def job_error(mistakes: Collection[Mistake]) -> FedswarmError:
    """All mistakes as one error, the file's in the order of its lines, the command line's last.

    Mistakes of one kind are an error of that kind, others a :class:`JobError`.
    """
    kinds = {mistake.kind for mistake in mistakes}
    kind = kinds.pop() if len(kinds) == 1 else JobError
    ordered = sorted(mistakes, key=lambda mistake: (not mistake.place.line, mistake.place.line, mistake.place.column))
    return kind("\n".join(dict.fromkeys(str(mistake) for mistake in ordered)))


def repetition_mistakes(repetitions: Sequence[Repetition]) -> list[Mistake]:
    """One mistake for each key that a mapping has twice."""
    return [
        Mistake(again.place, again.path, f"written twice, first at {again.first}; keep one of the two")
        for again in repetitions
    ]


def misfits_of(error: ValidationError, root: Node) -> dict[Path, list[ErrorDetails]]:
    """What pydantic found wrong with single settings, by the path the user wrote; for rules see rule_mistakes."""
    grouped: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] != "value_error":
            grouped.setdefault(_written_path(root, detail), []).append(detail)
    return grouped


def shape_mistakes(misfits: Mapping[Path, Sequence[ErrorDetails]], root: Node) -> list[Mistake]:
    """The same in plain words, at the place of the value, or of the key where the key is wrong."""
    return [_mistake(path, details, root) for path, details in misfits.items()]


def rule_mistakes(reading: Reading) -> list[Mistake]:
    """Broken rules between settings that fit, whatever else does not."""
    found = []
    for paths, complaint in _rules():
        if not all(map(reading.fits, paths)):
            continue
        text = complaint(*map(reading.value, paths))
        path, node = next(((path, node) for path in paths if (node := reading.node(path))), ((), reading.root))
        if text is not None:
            found.append(Mistake(node.place, node.label or ".".join(path), text))
    return found


@cache
def _rules() -> list[tuple[tuple[Path, ...], Callable[..., str | None]]]:
    """The rules of all sections, their paths from the top."""
    return [
        (tuple((*prefix, *path) for path in rule.paths), rule.complaint)
        for prefix, section in _sections((), Job)
        for rule in section.rules
    ]


def _sections(prefix: Path, section: type[Section]) -> Iterator[tuple[Path, type[Section]]]:
    yield prefix, section
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _sections((*prefix, name), field.annotation)


def shown(value: object) -> str:
    """A value as a message shows it: short, on one line, in the user's notation."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def misfit(value: object, setting: Setting) -> str:
    """Why a value cannot be this setting, and what can."""
    purpose = f" ({setting.description})" if setting.description else ""
    return f"{shown(value)} does not fit; it takes {setting.takes}{purpose}{_fix(value, setting)}"


def _fix(value: object, setting: Setting) -> str:
    if isinstance(value, str):
        choice = nearest(value, setting.choices)
        if choice is not None:
            return f"; did you mean {choice}?"
        if "number" in setting.takes and CORE_FLOAT.match(value):
            return "; remove the quotes"
    elif setting.is_text and isinstance(value, int | float):
        return f"; put it in quotes: '{value}'"
    elif isinstance(value, float) and not math.isfinite(value):
        return "; it must be finite"
    return ""


def _written_path(root: Node, detail: ErrorDetails) -> Path:
    """The part of pydantic's location that the user wrote (it adds the names of a union's branches)."""
    path: Path = ()
    node = root
    for step in map(str, detail["loc"]):
        if not isinstance(node.value, dict) or step not in node.value:
            break
        node = node.value[step]
        path = (*path, step)
    return path


def _mistake(path: Path, details: Sequence[ErrorDetails], root: Node) -> Mistake:
    node = node_at(root, path)
    label = node.label or ".".join(path)
    first = details[0]
    if first["type"] == "extra_forbidden":
        return Mistake(node.key_place, label, unknown_key(path))
    setting = setting_at(path)
    if setting is None:
        text = f"{shown(node.plain())} does not fit; a job is a mapping of keys to values, e.g. `rounds: 30`"
        return Mistake(node.place, label, text)
    return Mistake(node.place, label, misfit(node.plain(), setting))


def node_at(root: Node, path: Path) -> Node:
    """The node at a path that exists."""
    node = root
    for step in path:
        assert isinstance(node.value, dict)
        node = node.value[step]
    return node


def _sections_with(key: str) -> list[str]:
    """Where a key is known, as far up as it is: nobody means the batches of a policy's regressor first."""
    places = [path for path, setting in settings().items() if path[-1] == key and not setting.is_section]
    depth = min(map(len, places), default=0)
    return [".".join(path) for path in places if len(path) == depth]


def unknown_key(path: Path) -> str:
    """Why a key is unknown and which key may have been meant: here, in another section, or by FedScale's name."""
    section, key = path[:-1], path[-1]
    near = nearest(key, keys_of(section))
    elsewhere = _sections_with(key)
    argument = ARGUMENTS.get(key)
    if near is not None:
        hint = f"did you mean {near}?"
    elif elsewhere:
        hint = f"it belongs in another section: {' or '.join(elsewhere)}"
    elif argument is not None:
        hint = f"FedScale's {key} is {'.'.join(argument.target)} here"
    elif key in TOP_LEVEL:
        hint = "FedScale's form, which has it, has job_conf too"
    else:
        hint = _far_hint(key, section)
    return f"unknown key; {hint}"


def _far_hint(key: str, section: Path) -> str:
    everywhere = {path[-1]: setting.dotted for path, setting in settings().items()}
    far = nearest(key, everywhere)
    if far is not None:
        return f"did you mean {everywhere[far]}?"
    return f"{'.'.join(section) or 'a job'} has {', '.join(keys_of(section))}"
