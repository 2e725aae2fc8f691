"""YAML as a tree of :class:`Node`, each of which knows where it was written.

Only what a job needs is read: mappings with text keys, sequences and scalars. Scalars follow YAML 1.2's core schema, so
``4e-5`` is a number and ``no`` is text. The tree is built from the parser's events in one loop, which bounds its depth
and its size (aliases counted as often as they are used) before anything is built from them.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from fedswarm.errors import JobFileError

SOURCE_LIMIT_BYTES: Final = 1 << 20
DEPTH_LIMIT: Final = 32
NODE_LIMIT: Final = 2_000

Scalar = str | int | float | bool | None

# 300 digits keep every integer below the largest float; a longer run of digits is a float, and infinite.
CORE_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,300}\Z")
CORE_BASED_INTEGER: Final = re.compile(r"0o[0-7]{1,300}\Z|0x[0-9a-fA-F]{1,250}\Z")
CORE_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
CORE_SPECIAL_FLOAT: Final = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
CORE_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HINTS: Final = {
    "tab character": "indent with spaces",
    "cannot start any token": "indent with spaces, and put text that starts with a special character in quotes",
    "mapping values are not allowed": "put text that contains ': ' in quotes, and check the indentation",
    "could not find expected ':'": "write `key: value`, with a space after the colon",
    "did not find expected key": "check the indentation and the quotes",
    "expected <block end>": "check the indentation: keys of one section start in one column",
}


@dataclass(frozen=True, order=True)
class Place:
    """Where something was written: a line and a column (both from 1) of a file, or an option of the command line."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Repetition:
    """A key that a mapping has twice."""

    key: str
    path: str
    place: Place
    first: Place


@dataclass
class Node:
    """A value, where it was written, and where the key it belongs to was written.

    ``label`` names the setting in the user's own words where they differ from the job schema's (FedScale's form).
    """

    value: Scalar | list[Node] | dict[str, Node]
    place: Place
    key_place: Place
    label: str | None = None

    def plain(self) -> object:
        """The same tree as built-in types."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(frozen=True)
class Document:
    """A parsed file: its tree, and the keys that were repeated (the first of each is in the tree)."""

    root: Node
    repetitions: tuple[Repetition, ...] = ()


def read_source(path: Path) -> str:
    """The text of a job file; raises :class:`JobFileError` if it cannot be read, is over 1 MiB or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(SOURCE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise JobFileError(f"{path}: there is no such file; give the path of a job file (YAML)") from None
    except IsADirectoryError:
        raise JobFileError(f"{path}: this is a folder; give the path of a job file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise JobFileError(f"{path}: cannot be read ({reason}); check its name and its permissions") from error
    if len(data) > SOURCE_LIMIT_BYTES:
        raise JobFileError(f"{path}: larger than {SOURCE_LIMIT_BYTES} bytes; a job file holds settings, not data")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_of(data[: error.start].decode(errors="replace"), str(path))
        raise JobFileError(f"{place}: byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8") from error


def parse_document(text: str, source: str) -> Document:
    """The tree of a YAML text, with places in ``source``; raises :class:`JobFileError` with line and column."""
    document = _parse(text, source)
    if document.root.value is None:
        raise JobFileError(f"{source}: the file is empty; write at least `job_name: my_job`")
    return document


def parse_value(text: str, source: str) -> Document:
    """The tree of one value given on the command line, all of it placed at ``source``; no text at all is null."""
    document = _parse(text, source)
    _move(document.root, Place(source))
    return document


def _parse(text: str, source: str) -> Document:
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        place = _place_of(text[: unprintable.start()], source)
        raise JobFileError(f"{place}: character U+{ord(unprintable[0]):04X} is not allowed in YAML; delete it")
    builder = _Builder(source)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise JobFileError(_syntax_message(error, source)) from error
    except yaml.YAMLError as error:
        raise JobFileError(f"{source}: not YAML: {error}") from error
    return Document(builder.root or Node(None, Place(source), Place(source)), tuple(builder.repetitions))


def resolve_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar under YAML 1.2's core schema."""
    if text in CORE_WORDS:
        return CORE_WORDS[text]
    if CORE_INTEGER.match(text):
        return int(text)
    if CORE_BASED_INTEGER.match(text):
        return int(text, 0)
    if CORE_FLOAT.match(text):
        return float(text)
    if CORE_SPECIAL_FLOAT.match(text):
        return float(text.replace(".", "", 1))
    return text


def _place_of(text_before: str, source: str) -> Place:
    return Place(source, text_before.count("\n") + 1, len(text_before) - text_before.rfind("\n"))


def _syntax_message(error: yaml.MarkedYAMLError, source: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
    problem = " ".join(part for part in (error.context, error.problem) if part)
    hint = next((hint for words, hint in _HINTS.items() if words in problem), "check indentation, quotes and brackets")
    return f"{where}: not YAML: {problem}; {hint}"


def _move(node: Node, place: Place) -> None:
    node.place = node.key_place = place
    children = node.value.values() if isinstance(node.value, dict) else node.value
    if not isinstance(children, str | int | float | None):
        for child in children:
            _move(child, place)


@dataclass
class _Open:
    """A mapping or sequence whose end has not been seen yet."""

    node: Node
    anchor: str | None
    path: str
    key: tuple[str, Place] | None = None
    firsts: dict[str, Place] = field(default_factory=dict)
    nodes: int = 1


class _Builder:
    """Takes the parser's events one by one; :attr:`root` is the finished tree."""

    def __init__(self, source: str) -> None:
        self.root: Node | None = None
        self.repetitions: list[Repetition] = []
        self._source = source
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}

    def take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        assert mark is not None  # the parser marks every event
        place = Place(self._source, mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise JobFileError(f"{place}: a second document starts here; put each job into a file of its own")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise JobFileError(f"{place}: the tag {tag!r} is not read; delete it")
        if isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), place)
        elif isinstance(event, yaml.ScalarEvent):
            value = resolve_scalar(event.value) if event.implicit[0] else event.value
            self._scalar(event, value, place)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event, place)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()

    def _scalar(self, event: yaml.ScalarEvent, value: Scalar, place: Place) -> None:
        if self._awaits_key():
            self._key(event.value, place)
            return
        node = Node(value, place, place)
        if event.anchor:
            self._anchors[event.anchor] = (node, 1)
        self._add(node, 1)

    def _start(self, event: yaml.CollectionStartEvent, place: Place) -> None:
        if self._awaits_key():
            raise JobFileError(f"{place}: a key must be a word, not a list or a mapping; check the indentation")
        if len(self._open) == DEPTH_LIMIT:
            raise JobFileError(f"{place}: nested more than {DEPTH_LIMIT} levels deep; a job needs 4")
        node = Node({} if isinstance(event, yaml.MappingStartEvent) else [], place, self._key_place(place))
        self._open.append(_Open(node, event.anchor, self._path()))

    def _end(self) -> None:
        closed = self._open.pop()
        if closed.anchor:
            self._anchors[closed.anchor] = (closed.node, closed.nodes)
        self._add(closed.node, closed.nodes)

    def _alias(self, name: str, place: Place) -> None:
        if self._awaits_key():
            raise JobFileError(f"{place}: a key must be a word, not the alias *{name}")
        if name not in self._anchors:
            raise JobFileError(f"{place}: *{name} refers to no finished &{name} above it; write the value out")
        node, nodes = self._anchors[name]
        # A copy: what the command line sets below one of the two must not show below the other.
        self._add(deepcopy(node), nodes)

    def _key(self, key: str, place: Place) -> None:
        parent = self._open[-1]
        if key in parent.firsts:
            path = ".".join(part for part in (parent.path, key) if part)
            self.repetitions.append(Repetition(key, path, place, parent.firsts[key]))
        parent.key = (key, place)

    def _add(self, node: Node, nodes: int) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        parent.nodes += nodes
        if parent.nodes > NODE_LIMIT:
            raise JobFileError(
                f"{node.place}: more than {NODE_LIMIT} values, aliases included; a job needs a few dozen"
            )
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif isinstance(parent.node.value, dict) and parent.key is not None:
            key, node.key_place = parent.key
            parent.key = None
            if key not in parent.firsts:
                parent.firsts[key] = node.key_place
                parent.node.value[key] = node

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].node.value, dict) and self._open[-1].key is None

    def _key_place(self, place: Place) -> Place:
        key = self._open[-1].key if self._open else None
        return key[1] if key else place

    def _path(self) -> str:
        if not self._open:
            return ""
        parent = self._open[-1]
        step = (
            parent.key[0] if parent.key else str(len(parent.node.value)) if isinstance(parent.node.value, list) else ""
        )
        return ".".join(part for part in (parent.path, step) if part)
