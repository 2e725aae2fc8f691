from __future__ import annotations

import pytest

from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Acquaintances, Address, Alive, Bitfield, Goodbye, Have, Load, Unchoke, Want
from fedswarm.swarm.simulator.sizes import estimated_bytes

KEY = Key(3, "p1")


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (Alive(), Load(1, 2)),
        (Unchoke(), Goodbye("because")),
        (Have(KEY, ((0, 1),)), Have(KEY, ((0, 1), (5, 3)))),
        (Want(KEY, (1,)), Want(KEY, (1, 2, 3))),
        (Bitfield(KEY, bytes(10)), Bitfield(KEY, bytes(11))),
        (Acquaintances((), ()), Acquaintances((Address("p1", "p1:1"),), ("p2",))),
    ],
)
def test_a_message_that_says_more_is_larger(smaller: object, larger: object) -> None:
    assert 0 < estimated_bytes(smaller) < estimated_bytes(larger)  # type: ignore[arg-type]
