"""Accuracy when only a part of the chunks arrives by the deadline, by the order in which they are sent.

    python benchmark/partial_delivery.py --json
    python benchmark/partial_delivery.py --methods snip random --delivered 1 0.2 --rule shrink --plot accuracy.png

A handful of peers share the embedded images (Dirichlet 0.3), without a server. Every round each peer trains its own
model for an epoch, ranks the chunks of its update by an importance method, and receives from every neighbour the most
important part of the chunks; its own update it has whole. Each averages what it has, chunk by chunk. Reported is the
test accuracy of the peers' models, averaged, at the end and over all rounds, as the mean over seeds with its standard
error. With everything delivered, order does not matter, so that is played once.

All runs of a seed share data, initial weights and batches. Whole, in one process: nothing depends on the machine's
speed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedswarm.aggregation.partial import CompletionRule, PartialMean
from fedswarm.jobs.schema import Job
from fedswarm.models.layout import Vector
from fedswarm.randomness import generator
from fedswarm.swarm.importance import METHODS, Evidence, chunk_importance
from fedswarm.swarm.topologies import FAMILIES
from fedswarm.swarm.topology import Topology
from fedswarm.training.sequential import SequentialEngine
from fedswarm.training.steps import planned_steps
from fedswarm.training.task import ClientTask


@dataclass(frozen=True)
class Setting:
    """What one run varies."""

    method: str
    delivered: float
    rule: CompletionRule


class Federation:
    """Peers without a server, exchanging parts of their weights."""

    def __init__(self, engine: SequentialEngine, job: Job, topology: Topology, chunk_weights: int) -> None:
        self._engine = engine
        self._job = job
        self._topology = topology
        self._chunk_weights = chunk_weights
        ids, sizes = engine.clients()
        self._samples = dict(zip(map(str, ids.tolist()), sizes.tolist(), strict=True))

    def play(self, setting: Setting, rounds: int) -> list[float]:
        """Mean accuracy of the peers' models after each round."""
        models = dict.fromkeys(self._samples, self._engine.initial_weights())
        accuracies = []
        for round_index in range(1, rounds + 1):
            trained = {peer: self._train(peer, models[peer], round_index) for peer in models}
            sent = {peer: self._sent_chunks(peer, models[peer], trained[peer], setting, round_index) for peer in models}
            models = {peer: self._receive(peer, models[peer], trained, sent, setting.rule) for peer in models}
            accuracies.append(float(np.mean([self._accuracy(model) for model in models.values()])))
        return accuracies

    def _train(self, peer: str, model: Vector, round_index: int) -> Vector:
        section = self._job.training
        steps = planned_steps(section, self._samples[peer])
        self._engine.load(model)
        update = self._engine.train(ClientTask(int(peer), round_index, steps, section.learning_rate))
        assert isinstance(update.delta, np.ndarray), update.error
        return model + update.delta

    def _sent_chunks(
        self, peer: str, start: Vector, trained: Vector, setting: Setting, round_index: int
    ) -> Sequence[int]:
        """The most important chunks of a peer's update, as many as are delivered; ties in random order."""
        method, client_id = METHODS[setting.method], int(peer)
        draws = generator(self._job.seed, round_index, "order", client_id)
        engine = self._engine
        evidence = Evidence(
            delta=trained - start,
            weights=trained,
            gradient=engine.loss_gradient(client_id, round_index, trained) if method.needs_gradient else None,
            squared_gradient=(
                engine.mean_squared_gradient(client_id, round_index, trained) if method.needs_squared_gradient else None
            ),
            draws=draws,
        )
        importance = np.frombuffer(chunk_importance(setting.method, evidence, self._chunk_weights), dtype=np.uint8)
        order = np.lexsort((draws.random(len(importance)), -importance.astype(np.int64)))
        return [int(chunk) for chunk in order[: round(setting.delivered * len(order))]]

    def _receive(
        self,
        peer: str,
        start: Vector,
        trained: dict[str, Vector],
        sent: dict[str, Sequence[int]],
        rule: CompletionRule,
    ) -> Vector:
        """A peer's next model: its own update whole, and of each neighbour's what was sent."""
        neighbours = self._topology.neighbours(peer)
        total = sum(self._samples[source] for source in (peer, *neighbours))
        mean = PartialMean(start, self._chunk_weights, total)
        mean.add_whole(peer, trained[peer], self._samples[peer])
        for source in neighbours:
            for chunk in sent[source]:
                mean.add(source, chunk, trained[source][mean.range(chunk)], self._samples[source])
        return mean.result(rule, total)

    def _accuracy(self, model: Vector) -> float:
        self._engine.load(model)
        scores = self._engine.evaluate(range(self._engine.test_blocks))
        return sum(score.top1 for score in scores) / sum(score.samples for score in scores)


def make_federation(options: argparse.Namespace, seed: int) -> Federation:
    """Data, model and links of one seed."""
    job = Job.model_validate(
        {
            "seed": seed,
            "data": {"clients": options.peers, "partition": {"kind": "dirichlet", "alpha": 0.3}},
            "model": {"name": options.model},
            "training": {"local_epochs": 1, "batch_size": 32, "learning_rate": 0.02},
            "evaluation": {"batch_size": 500},
        }
    )
    engine = SequentialEngine(job)
    names = [str(client_id) for client_id in engine.clients()[0]]
    topology = FAMILIES[options.topology]().build(names, seed)
    return Federation(engine, job, topology, options.chunk_kib * 256)


def summarise(setting: Setting, curves: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Means over seeds, in per cent."""
    values = 100 * np.array(curves)
    final = values[:, -1]
    error = float(final.std(ddof=1) / np.sqrt(len(final))) if len(final) > 1 else None
    return {
        "method": setting.method,
        "delivered": setting.delivered,
        "final_accuracy": round(float(final.mean()), 2),
        "standard_error": error if error is None else round(error, 2),
        "mean_accuracy": round(float(values.mean()), 2),
        "accuracy_by_round": [round(float(a), 2) for a in values.mean(axis=0)],
    }


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Accuracy by round: a panel for each part delivered, a line a method; grey is everything delivered."""
    from matplotlib.figure import Figure

    parts = sorted({row["delivered"] for row in rows}, reverse=True)
    figure = Figure(figsize=(5 * len(parts), 4), layout="constrained")
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    whole = [row for row in rows if row["delivered"] == 1]
    for panel, part in zip(panels, parts, strict=True):
        for row in [*whole, *(row for row in rows if row["delivered"] == part != 1)]:
            style = {"color": "0.6", "label": "everything"} if row in whole else {"label": row["method"]}
            panel.plot(range(1, len(row["accuracy_by_round"]) + 1), row["accuracy_by_round"], **style)
        panel.set(title=f"{part:.0%} of the chunks by the deadline", xlabel="round")
        panel.legend()
    panels[0].set_ylabel("mean test accuracy of the peers (%)")
    figure.savefig(path, dpi=150)


def settings_of(options: argparse.Namespace) -> list[Setting]:
    """Every method for every part delivered, but the whole only once."""
    rule = CompletionRule(options.rule)
    parts = [part for part in options.delivered if part < 1]
    whole = [Setting("sequential", 1.0, rule)] if len(parts) < len(options.delivered) else []
    return whole + [Setting(method, part, rule) for part in parts for method in options.methods]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--delivered", nargs="+", type=float, default=[1.0, 0.7, 0.4], help="parts of the chunks, 0..1")
    parser.add_argument("--rule", choices=["renormalise", "shrink", "capped"], default="renormalise")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--peers", type=int, default=8)
    parser.add_argument("--topology", choices=list(FAMILIES), default="complete")
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--chunk-kib", type=int, default=16)
    parser.add_argument("--plot", type=Path, default=None, help="write the curves as a picture")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    options = parser.parse_args()
    federations = [make_federation(options, seed) for seed in options.seeds]
    rows = []
    for setting in settings_of(options):
        rows.append(summarise(setting, [federation.play(setting, options.rounds) for federation in federations]))
        if not options.json:
            print({key: value for key, value in rows[-1].items() if key != "accuracy_by_round"}, file=sys.stderr)
    if options.plot is not None:
        plot(rows, options.plot)
    known = {key: value for key, value in vars(options).items() if key not in ("plot", "json")}
    print(json.dumps({**known, "results": rows}))


if __name__ == "__main__":
    main()
