from __future__ import annotations

from fedswarm.swarm.simulator.timeline import Timeline


def test_things_happen_in_order_of_time_and_then_of_arrangement() -> None:
    timeline, seen = Timeline(), []
    for when_s, name in ((2.0, "c"), (1.0, "a"), (2.0, "d"), (1.5, "b")):
        timeline.at(when_s, lambda n=name: seen.append((n, timeline.now_s)))
    timeline.run(10.0)
    assert seen == [("a", 1.0), ("b", 1.5), ("c", 2.0), ("d", 2.0)]
    assert timeline.now_s == 10.0


def test_what_is_arranged_for_the_past_happens_now() -> None:
    timeline, seen = Timeline(), []
    timeline.at(5.0, lambda: timeline.at(1.0, lambda: seen.append(timeline.now_s)))
    timeline.run(10.0)
    assert seen == [5.0]


def test_time_stands_still_between_two_runs() -> None:
    timeline, seen = Timeline(), []
    timeline.at(3.0, seen.append, "late")
    timeline.run(2.0)
    assert (timeline.now_s, seen) == (2.0, [])
    timeline.run(3.0)
    assert (timeline.now_s, seen) == (3.0, ["late"])


def test_a_stop_leaves_the_rest_for_later() -> None:
    timeline, seen = Timeline(), []
    timeline.at(1.0, timeline.stop)
    timeline.at(2.0, seen.append, "rest")
    timeline.run(10.0)
    assert (timeline.now_s, seen) == (1.0, [])
    timeline.run(10.0)
    assert seen == ["rest"]
