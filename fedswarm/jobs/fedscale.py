"""FedScale's job files, unchanged: ``ps_ip``, ``worker_ips`` and ``job_conf``, a list of one-key maps.

They are translated into the tree of fedswarm's own form, every value keeping the line it was written on, so that one
validation serves both forms. FedScale's defaults stand in for absent arguments. What cannot be honoured is a mistake
if it would change the result silently (another host, another policy), and otherwise part of a notice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final

from fedswarm.jobs import fedscale_arguments as names
from fedswarm.jobs.built_in import EMBEDDED_DATA_SET, MODELS, POLICIES
from fedswarm.jobs.fedscale_values import converted, limit, word
from fedswarm.jobs.mistakes import Mistake, shown
from fedswarm.jobs.schema import Job
from fedswarm.jobs.vocabulary import Path, nearest
from fedswarm.jobs.yaml_source import Node, Place, Scalar

_WORKER: Final = re.compile(r"(?P<host>[^\s\[\]]+):\[(?P<slots>\s*\d{1,6}\s*(,\s*\d{1,6}\s*)*)\]\Z")


@dataclass(frozen=True)
class Translation:
    """The job in fedswarm's form, what was wrong on the way, and what its owner should be told."""

    root: Node
    mistakes: tuple[Mistake, ...]
    notices: tuple[str, ...]


def is_fedscale(root: Node) -> bool:
    """Whether a tree is a FedScale job file: only that form has ``job_conf``."""
    return isinstance(root.value, dict) and "job_conf" in root.value


def translate(root: Node) -> Translation:
    """The same job in fedswarm's own form."""
    translator = _Translator(root)
    translator.run()
    return Translation(translator.job, tuple(translator.mistakes), tuple(translator.notices))


@dataclass
class _Arguments:
    """``job_conf`` merged in order, as FedScale does: the last of several values counts."""

    given: dict[str, Node] = field(default_factory=dict)
    place: Place = field(default_factory=lambda: Place("job_conf"))

    def node(self, name: str) -> Node | None:
        """The value as written; null counts as absent."""
        node = self.given.get(name)
        return node if node is not None and node.value is not None else None


class _Translator:
    def __init__(self, root: Node) -> None:
        self.job = Node({}, root.place, root.place)
        self.mistakes: list[Mistake] = []
        self.notices: list[str] = []
        self._top: dict[str, Node] = root.value if isinstance(root.value, dict) else {}
        self._arguments = _Arguments()

    def run(self) -> None:
        self._check_top_level()
        self._merge_arguments()
        self._translate_plain_arguments()
        self._translate_cluster()
        self._translate_data()
        self._translate_model()
        self._translate_policies()
        self._notice_unused()

    # --- reading -----------------------------------------------------------------------------------------------------

    def _check_top_level(self) -> None:
        for key, node in self._top.items():
            if key in names.TOP_LEVEL:
                continue
            if key in names.ALL_NAMES:
                text = f"belongs below job_conf, as `- {key}: ...`"
            elif key in Job.model_fields:
                text = f"unknown key in FedScale's form; fedswarm's {key} needs a job file without job_conf"
            else:
                text = f"unknown key; {_suggestion(key, names.TOP_LEVEL)}"
            self.mistakes.append(Mistake(node.key_place, key, text))

    def _merge_arguments(self) -> None:
        conf = self._top["job_conf"]
        self._arguments.place = conf.key_place
        if not isinstance(conf.value, list):
            text = f"{shown(conf.plain())} does not fit; it takes a list of one-key maps, e.g. `- rounds: 50`"
            self.mistakes.append(Mistake(conf.key_place, "job_conf", text))
            return
        for item in conf.value:
            if not isinstance(item.value, dict):
                text = f"{shown(item.plain())} does not fit; write `- key: value`"
                self.mistakes.append(Mistake(item.place, "job_conf", text))
                continue
            for name, node in item.value.items():
                self._merge_argument(name, node)

    def _merge_argument(self, name: str, node: Node) -> None:
        if name not in names.ALL_NAMES:
            text = f"unknown argument; {_suggestion(name, names.ALL_NAMES)}"
            self.mistakes.append(Mistake(node.key_place, f"job_conf.{name}", text))
            return
        earlier = self._arguments.given.get(name)
        if earlier is not None:
            self.notices.append(
                f"{node.key_place}: {name} was set before, at {earlier.key_place}; the later value counts"
            )
        node.label = f"job_conf.{name}"
        self._arguments.given[name] = node

    # --- writing -----------------------------------------------------------------------------------------------------

    def _put(self, target: Path, value: Scalar | list[Node] | dict[str, Node], source: Node) -> None:
        section = self.job
        for step in target[:-1]:
            assert isinstance(section.value, dict)
            section = section.value.setdefault(step, Node({}, source.place, source.key_place))
        assert isinstance(section.value, dict)
        section.value[target[-1]] = Node(value, source.place, source.key_place, source.label)

    def _value(self, name: str) -> Node:
        """An argument's value as FedScale's command line would read it, or FedScale's default."""
        argument = names.ARGUMENTS[name]
        node = self._arguments.node(name)
        if node is None:
            label = f"job_conf.{name} (absent, FedScale's default)"
            return Node(argument.default, self._arguments.place, self._arguments.place, label)
        return Node(converted(node.value, argument.kind), node.place, node.key_place, node.label)

    def _wrong(self, node: Node, text: str, *mended_by: Path) -> None:
        self.mistakes.append(Mistake(node.place, node.label or "", text, mended_by=mended_by))

    # --- the parts of a job ------------------------------------------------------------------------------------------

    def _translate_plain_arguments(self) -> None:
        for section in names.POLICY_SECTIONS.get(self._policy, ()):
            self._put((*section, "fidelity"), "reference", self._value("sample_mode"))
        special = {"ps_port", "num_executors", "proxy_mu", "sample_mode", "model"}
        for name, argument in names.ARGUMENTS.items():
            if name in special or argument.target[0] == "data" or name in self._idle:
                continue
            node = self._value(name)
            shared = self._policy == "bliss" and name in names.SHARED_WITH_BLISS
            self._put((*names.BLISS, argument.target[-1]) if shared else argument.target, node.value, node)

    @property
    def _policy(self) -> str:
        return word(self._value("sample_mode"))

    @property
    def _idle(self) -> list[str]:
        """Arguments of policies that are not in use."""
        used = names.POLICY_SECTIONS.get(self._policy, ())
        sections = {section for group in names.POLICY_SECTIONS.values() for section in group} - set(used)
        shared = names.SHARED_WITH_BLISS if self._policy == "bliss" else ()
        return [
            name for name, argument in names.ARGUMENTS.items() if argument.target[:2] in sections and name not in shared
        ]

    def _translate_cluster(self) -> None:
        for key in names.TOP_LEVEL & set(self._top):
            self._top[key].label = key
        self._refuse_containers()
        self._check_entries()
        port = self._given("ps_port")
        if port is not None:
            self._put(("cluster", "aggregator_port"), converted(port.value, "whole"), port)
        workers = self._given("worker_ips")
        address = self._given("ps_ip")
        hosts = [] if address is None else [(word(address), address)]
        if workers is not None:
            hosts += self._count_workers(workers)
        else:
            executors = self._given("num_executors") or self._value("num_executors")
            self._put(("cluster", "executors"), converted(executors.value, "whole"), executors)
        self._check_hosts(hosts)

    def _given(self, name: str) -> Node | None:
        """A key that FedScale takes at the top of the file and its entry programs take as an argument."""
        node = self._top.get(name)
        return node if node is not None and node.value is not None else self._arguments.node(name)

    def _refuse_containers(self) -> None:
        container = self._given("use_container")
        if container is not None and container.value not in (False, ""):
            self._wrong(
                container,
                f"{shown(container.plain())} is not in this build yet, it starts local processes; delete the line",
            )
        aggregators = self._given("num_aggregators")
        if aggregators is not None and converted(aggregators.value, "whole") != 1:
            self._wrong(aggregators, f"{shown(aggregators.plain())} does not fit; a job has 1 aggregator")

    def _check_entries(self) -> None:
        for key, expected in {"aggregator_entry": "aggregator.py", "executor_entry": "executor.py"}.items():
            node = self._top.get(key)
            if node is not None and node.value is not None and FilePath(word(node)).name != expected:
                text = f"{shown(node.plain())} is a program of its own; only FedScale's {expected} has a counterpart"
                self._wrong(node, text)

    def _count_workers(self, workers: Node) -> list[tuple[str, Node]]:
        entries = workers.value if isinstance(workers.value, list) else [workers]
        hosts: list[tuple[str, Node]] = []
        executors = 0
        for entry in entries:
            entry.label = "worker_ips"
            match = _WORKER.match(entry.value) if isinstance(entry.value, str) else None
            if match is None:
                self._wrong(
                    entry, f"{shown(entry.plain())} does not fit; write host:[processes,...], e.g. 127.0.0.1:[2]"
                )
                continue
            hosts.append((match["host"], entry))
            executors += sum(map(int, match["slots"].split(",")))
        if len(hosts) == len(entries):
            self._put(("cluster", "executors"), executors, workers)
        return hosts

    def _check_hosts(self, hosts: Iterable[tuple[str, Node]]) -> None:
        for host, node in hosts:
            if host not in names.LOOPBACK_HOSTS and host != names.EXAMPLE_HOST:
                other = host or shown(node.plain())
                text = f"{other} is another machine; this build starts processes on this one only: write 127.0.0.1"
                self._wrong(node, text)
        if any(host == names.EXAMPLE_HOST for host, _ in hosts):
            self.notices.append(f"{names.EXAMPLE_HOST}, the address in FedScale's examples, is taken for this machine")

    def _translate_data(self) -> None:
        name = self._value("data_set")
        written = word(name)
        known = written if ":" in written else names.DATA_SETS.get(re.sub(r"[^a-z0-9]", "", written.lower()))
        if known is None:
            choices = ", ".join(sorted(set(names.DATA_SETS.values())))
            self._wrong(
                name,
                f"{shown(name.plain())} is not in this build; it has {choices}; or module:function of your own",
                names.ARGUMENTS["data_set"].target,
            )
        else:
            self._put(("data", "name"), known, name)
        folder = self._arguments.node("data_dir")
        if folder is not None:
            self._put_path(("data", "folder"), folder)
        if known is not None and ":" not in known and known != EMBEDDED_DATA_SET:
            self._explain_folder(known, folder, name)
        self._translate_partition()
        for bound in ("filter_less", "filter_more"):
            node = self._value(bound)
            self._put(names.ARGUMENTS[bound].target, limit(node.value, bound), node)

    def _explain_folder(self, data_set: str, folder: Node | None, name: Node) -> None:
        files = "the IDX files of mnist" if data_set == "mnist" else f"{data_set}.npz"
        if folder is None:
            self._wrong(
                name,
                f"{data_set} is not shipped with fedswarm; add `- data_dir: FOLDER`, a folder with {files}",
                names.ARGUMENTS["data_dir"].target,
                names.ARGUMENTS["data_set"].target,
            )
        else:
            self.notices.append(f"data_set {data_set} is read from {files} in data_dir (see docs/job-file.md)")

    def _translate_partition(self) -> None:
        data_map = self._arguments.node("data_map_file")
        if data_map is not None:
            self._put(("data", "partition", "kind"), "data_map", data_map)
            self._put_path(("data", "partition", "path"), data_map)
            return
        participants = self._value("num_participants")
        self._put(("data", "partition", "kind"), "iid", participants)
        self._put(("data", "clients"), participants.value, participants)
        self.notices.append(
            "without data_map_file the samples are dealt evenly to num_participants clients, as in FedScale;"
            " --set data.clients=100 makes more"
        )

    def _put_path(self, target: Path, node: Node) -> None:
        """A path as the shell that starts FedScale expands it."""
        if not isinstance(node.value, str):
            self._put(target, node.value, node)  # validation refuses it
            return
        path, fault = node.value, ""
        try:
            path = os.path.expandvars(FilePath(path).expanduser())
        except RuntimeError:
            fault = "names the home of an unknown user; write the path out"
        if not fault and "$" in path:
            fault = "names an environment variable that is not set; set it, or write the path out"
        if fault:
            self._wrong(node, f"{shown(node.value)} {fault}", target)
        self._put(target, path, node)

    def _translate_model(self) -> None:
        model = self._value("model")
        name = word(model)
        if name in MODELS or ":" in name:
            self._put(("model", "name"), name, model)
            return
        near = nearest(name, MODELS)
        hint = f"did you mean {near}?" if near else "or module:function of your own"
        text = f"{shown(model.plain())} is not in this build; it has {', '.join(MODELS)}; {hint}"
        self._wrong(model, text, names.ARGUMENTS["model"].target)

    def _translate_policies(self) -> None:
        mode = self._value("sample_mode")
        if self._policy in POLICIES or ":" in self._policy:
            self._put(names.ARGUMENTS["sample_mode"].target, mode.value, mode)
        else:
            self._not_built(mode, frozenset(), POLICIES, names.ARGUMENTS["sample_mode"].target)
        gradient = self._arguments.node("gradient_policy")
        policy = "fed-avg" if gradient is None else word(gradient).lower()
        if policy == names.PROXIMAL:
            strength = self._value("proxy_mu")
            self._put(("training", "proximal_mu"), strength.value, strength)
        elif gradient is not None and policy not in names.FEDERATED_AVERAGING:
            self._not_built(gradient, names.UNBUILT_GRADIENT_POLICIES, ("fed-avg", names.PROXIMAL))
        self._refuse_unbuilt_features()

    def _not_built(self, node: Node, planned: frozenset[str], available: tuple[str, ...], *mended_by: Path) -> None:
        value = word(node)
        has = f"this build has {', '.join(available)}"
        if value.lower() in planned:
            text = f"{shown(node.plain())} is not in this build yet; {has}"
        else:
            text = f"{shown(node.plain())} is unknown; {has}; {_suggestion(value, (*available, *planned))}"
        self._wrong(node, text, *mended_by)

    def _refuse_unbuilt_features(self) -> None:
        engine = self._arguments.node("engine")
        if engine is not None and word(engine).lower() != "pytorch":
            self._wrong(engine, f"{shown(engine.plain())} does not fit; it takes pytorch")
        resume = self._arguments.node("resume_from")
        if resume is not None and resume.value != "":
            self._wrong(resume, "FedScale's checkpoints cannot be resumed here; delete the line")

    def _notice_unused(self) -> None:
        unused = sorted(names.TOP_LEVEL_WITHOUT_USE & set(self._top)) + [
            name for name in self._arguments.given if name in names.WITHOUT_USE or name in self._idle
        ]
        if unused:
            self.notices.append(f"without effect here: {', '.join(unused)}")
        profiles = [name for name in names.DEVICE_FILES if self._arguments.node(name) is not None]
        if profiles:
            self.notices.append(
                f"device profiles are not read from a job ({', '.join(profiles)}), so all clients are always online;"
                " `fedswarm devices import` makes a file of them for --set devices.population=FILE"
            )


def _suggestion(name: str, choices: Iterable[str]) -> str:
    near = nearest(name, choices)
    return f"did you mean {near}?" if near else "check its spelling, or delete it"
