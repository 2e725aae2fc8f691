"""Scores of a model on blocks of the test set: the same blocks, hence the same sums, whoever computes them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fedswarm.data.dataset import Split
from fedswarm.jobs.schema import EvaluationSection
from fedswarm.randomness import generator
from fedswarm.training.task import BlockResult


class EvaluationBlocks:
    """The test samples that a job uses, cut into blocks of ``batch_size`` (the last may be shorter).

    With a ``ratio`` below one a random part is used, drawn once by the job's seed: files are often sorted by class.
    """

    def __init__(self, split: Split, section: EvaluationSection, seed: int) -> None:
        samples = max(1, round(section.ratio * len(split)))
        chosen = np.arange(len(split))
        if samples < len(split):
            chosen = np.sort(generator(seed, 0, "test_samples").choice(len(split), samples, replace=False))
        self._split = split
        self._blocks = torch.split(torch.from_numpy(chosen), section.batch_size)

    def __len__(self) -> int:
        return len(self._blocks)

    def score(self, module: nn.Module, block: int) -> BlockResult:
        """Tests ``module``, which must be in evaluation mode, on one block."""
        chosen = self._blocks[block]
        labels = self._split.labels.index_select(0, chosen)
        with torch.inference_mode():
            scores = module(self._split.inputs.index_select(0, chosen))
            losses = cross_entropy(scores, labels, reduction="none")
            ranks = _ranks(scores, labels)
        return BlockResult(
            block=block,
            samples=len(labels),
            top1=int((ranks < 1).sum()),
            top5=int((ranks < 5).sum()),
            loss_sum=float(losses.sum(dtype=torch.float64)),
        )


def _ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the right one, ``(N,)``.

    Of equal scores the lower class comes first. Every comparison with not-a-number counts against the right class, so a
    diverged model is never right by accident.
    """
    right = scores.gather(1, labels[:, None])
    better = ~(scores <= right)
    tied_before = (scores == right) & (torch.arange(scores.shape[1]) < labels[:, None])
    return (better | tied_before).sum(1)
