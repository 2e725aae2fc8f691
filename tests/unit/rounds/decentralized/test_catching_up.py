"""Whose model is tried, and in which order."""

from __future__ import annotations

import pytest

from fedswarm.rounds.catching_up import CatchingUp, OfferedModel


@pytest.fixture
def search() -> CatchingUp:
    search = CatchingUp()
    search.offered("a", 4, True)
    search.offered("a", 9, False)
    search.offered("b", 3, True)
    search.offered("b", 8, False)
    search.start(10.0)
    return search


def test_the_newest_is_tried_first_whether_it_lasts_or_not(search: CatchingUp) -> None:
    assert search.next(above=0) == OfferedModel(9, "a")


def test_who_has_lost_one_tries_those_that_last_and_then_the_others(search: CatchingUp) -> None:
    tried = []
    while model := search.next(above=0):
        tried.append(model)
        search.lost(model)
    assert tried == [OfferedModel(9, "a"), OfferedModel(4, "a"), OfferedModel(3, "b"), OfferedModel(8, "b")]


def test_one_that_lasts_is_not_given_up_when_its_owner_goes_on(search: CatchingUp) -> None:
    search.lost(search.next(above=0))  # type: ignore[arg-type]
    lasting = search.next(above=0)
    search.offered("a", 30, True)
    assert search.fetching == lasting == OfferedModel(4, "a")


def test_one_that_is_forgotten_soon_is_given_up_when_its_owner_has_gone_on(search: CatchingUp) -> None:
    search.next(above=0)
    search.offered("a", 11, False)
    assert search.fetching is None
    assert search.next(above=0) == OfferedModel(4, "a")


def test_a_new_search_begins_with_the_newest_again(search: CatchingUp) -> None:
    search.lost(search.next(above=0))  # type: ignore[arg-type]
    search.start(20.0)
    assert search.next(above=0) == OfferedModel(9, "a")


def test_models_that_last_are_only_tried_if_they_are_newer(search: CatchingUp) -> None:
    search.lost(search.next(above=5))  # type: ignore[arg-type]
    assert search.next(above=5) == OfferedModel(8, "b")
