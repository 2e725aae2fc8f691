import numpy as np
import pytest

from fedswarm.swarm.content import Content, Fetch
from fedswarm.swarm.manifest import build_manifest
from fedswarm.swarm.picker import pick

CHUNK = 16 * 1024
CHUNKS = 6


def content(importance=(), ties=None, **held):
    """Weights of six chunks; ``held`` gives each neighbour's."""
    data = np.zeros(CHUNKS * CHUNK // 4, dtype=np.float32)
    manifest = build_manifest(
        data, job="j", round_index=0, source="s", schema_hash="x", chunk_bytes=CHUNK, importance=bytes(importance)
    )
    made = Content(manifest, np.linspace(0, 0.9, CHUNKS) if ties is None else np.array(ties))
    for peer, indices in held.items():
        for index in indices:
            made.note_held(made.member(peer).add_run(index, 1), 0.0)
    return made


def everything():
    return np.ones(CHUNKS, dtype=np.bool_)


def picked(made, peer, theta=0.0, allowed=None):
    candidate = pick(made, peer, everything() if allowed is None else allowed, theta)
    return None if candidate is None else candidate.chunk


def test_only_what_the_neighbour_holds_and_what_is_allowed_is_asked_for():
    made = content(a=[2, 4], b=[1])
    allowed = everything()
    allowed[2] = False
    assert picked(made, "a", allowed=allowed) == 4
    allowed[4] = False
    assert picked(made, "a", allowed=allowed) is None
    assert picked(made, "stranger") is None


def test_the_rarest_goes_first():
    made = content(a=[0, 1, 2], b=[0, 2], c=[0])
    assert picked(made, "a") == 1


def test_importance_breaks_ties_of_rarity_only():
    made = content(importance=[9, 0, 200, 0, 0, 255], a=[0, 2, 5], b=[5])
    assert picked(made, "a") == 2  # 5 is more important, but held by two


def test_keyed_numbers_break_what_is_left_of_ties():
    made = content(ties=[0.9, 0.1, 0.5, 0.3, 0.2, 0.7], a=[0, 2, 3])
    assert picked(made, "a") == 3


def test_importance_takes_over_as_the_deadline_nears():
    made = content(importance=[9, 0, 200, 0, 0, 255], a=[0, 2, 5], b=[5])
    assert picked(made, "a", theta=1.0) == 5
    assert picked(made, "a", theta=0.1) == 2


def test_the_score_is_the_mean_of_both_ranks_weighed_by_theta():
    made = content(importance=[0, 0, 0, 0, 100, 200], a=[4, 5], b=[5])
    ranks = {4: (0.0, made.importance_rank[4]), 5: (0.5, made.importance_rank[5])}
    candidate = pick(made, "a", everything(), 0.25)
    scores = {index: 0.75 * rarity + 0.25 * importance for index, (rarity, importance) in ranks.items()}
    assert candidate.score == pytest.approx(min(scores.values()))
    assert candidate.chunk == min(scores, key=scores.get)


def fetch(deadline_s):
    return Fetch(everything(), swarm=True, deadline_s=deadline_s, started_s=0.0, publisher_target="")


@pytest.mark.parametrize(
    ("now_s", "missing", "accepted", "theta"),
    [
        (0.0, 6, 0, 0.0),  # nothing is known yet
        (4.0, 6, 0, 0.0),  # the first half
        (5.0, 6, 0, 0.0),
        (7.5, 6, 0, 0.5),
        (10.0, 6, 0, 1.0),
        (12.0, 6, 0, 1.0),
        (7.5, 1, 5, 0.0),  # done in time at the rate so far
        (7.5, 3, 3, 0.5),  # not done in time
    ],
)
def test_theta_grows_in_the_second_half_unless_all_will_be_there_in_time(now_s, missing, accepted, theta):
    assert fetch(10.0).urgency(now_s, missing, accepted) == pytest.approx(theta)


def test_without_a_deadline_there_is_never_a_hurry():
    assert fetch(float("inf")).urgency(1e6, 6, 0) == 0.0
