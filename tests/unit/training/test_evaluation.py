import math

import pytest
import torch
from torch import nn

from fedswarm.data.dataset import Split
from fedswarm.jobs.schema import EvaluationSection
from fedswarm.training.evaluation import EvaluationBlocks

CLASSES = 7


def blocks(scores, labels, batch_size=3, ratio=1.0, seed=1):
    split = Split(torch.tensor(scores, dtype=torch.float32), torch.tensor(labels))
    return EvaluationBlocks(split, EvaluationSection(batch_size=batch_size, ratio=ratio), seed)


def score_all(made):
    return [made.score(nn.Identity(), block) for block in range(len(made))]


def test_counts_the_best_and_the_best_five():
    scores = [[6, 5, 4, 3, 2, 1, 0]] * 3
    result = blocks(scores, [0, 4, 5]).score(nn.Identity(), 0)
    assert (result.samples, result.top1, result.top5) == (3, 1, 2)


def test_loss_is_summed_cross_entropy():
    result = blocks([[0.0] * CLASSES] * 2, [1, 2]).score(nn.Identity(), 0)
    assert result.loss_sum == pytest.approx(2 * math.log(CLASSES), rel=1e-6)


def test_of_equal_scores_only_the_first_class_is_right():
    results = score_all(blocks([[0.0] * CLASSES] * CLASSES, list(range(CLASSES)), batch_size=CLASSES))
    assert (results[0].top1, results[0].top5) == (1, 5)


@pytest.mark.parametrize("scores", [[math.nan] * CLASSES, [0.0] * (CLASSES - 1) + [math.nan], [math.inf] + [0.0] * 6])
def test_a_diverged_model_is_never_right(scores):
    result = blocks([scores] * 2, [3, 3]).score(nn.Identity(), 0)
    assert result.top1 == 0
    assert not math.isfinite(result.loss_sum)


def test_nothing_is_dropped_at_the_end():
    made = blocks([[0.0] * CLASSES] * 8, [0] * 8, batch_size=3)
    assert [result.samples for result in score_all(made)] == [3, 3, 2]


def test_blocks_can_be_scored_in_any_order_by_anybody():
    scores = torch.randn(8, CLASSES, generator=torch.Generator().manual_seed(1)).tolist()
    first, second = (blocks(scores, [0, 1, 2, 3, 4, 5, 6, 0]) for _ in range(2))
    forward = score_all(first)
    backward = [second.score(nn.Identity(), block) for block in reversed(range(len(second)))]
    assert forward == backward[::-1]


def test_a_ratio_takes_a_part_drawn_from_everywhere():
    labels = [0] * 50 + [1] * 50
    made = blocks([[1.0, 0.0]] * 100, labels, batch_size=50, ratio=0.5)
    (result,) = score_all(made)
    assert result.samples == 50
    assert 0 < result.top1 < 50


def test_the_drawn_part_is_the_same_for_everybody_with_the_seed():
    labels = [index % CLASSES for index in range(100)]
    scores = torch.randn(100, CLASSES, generator=torch.Generator().manual_seed(1)).tolist()
    first, again, other = (score_all(blocks(scores, labels, 50, 0.5, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_at_least_one_sample_is_tested():
    assert score_all(blocks([[0.0] * CLASSES] * 3, [0] * 3, ratio=0.01))[0].samples == 1
