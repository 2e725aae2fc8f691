from __future__ import annotations

import pytest

from fedswarm.swarm import messages as msg
from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.simulator.sizes import RECEIPT_BYTES, estimated_bytes
from fedswarm.swarm.simulator.world import random_weights
from fedswarm.swarm.wire import encode_letter, encode_receipts

KEY = Key(3, "source")
ADDRESS = msg.Address("p17", "p17:1")


@pytest.mark.parametrize(
    "message",
    [
        msg.Hello(1, "simulated", ADDRESS, 20_000_000),
        msg.Offer(random_weights("source", 40, 16 * KIB, seed=1).manifest),
        msg.Interested(KEY),
        msg.NotInterested(KEY),
        msg.Bitfield(KEY, bytes(range(1, 30))),
        msg.Have(KEY, ((0, 1), (7, 3), (200, 20))),
        msg.Final(KEY, 5, (bytes(32), bytes(32))),
        msg.Forget(KEY),
        msg.Choke(),
        msg.Unchoke(),
        msg.Want(KEY, tuple(range(100, 140))),
        msg.Cancel(KEY, (300,)),
        msg.Lack(KEY, (1, 2)),
        msg.Relieve(KEY, "p17", (9,)),
        msg.Load(20_000_000, 300_000),
        msg.Acquaintances((ADDRESS,) * 20, ("p3",)),
        msg.Alive(),
        msg.Goodbye("it was asked to"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_size_is_close_to_that_on_the_wire(message: msg.Message) -> None:
    assert estimated_bytes(message) == pytest.approx(len(encode_letter([message])), rel=0.1, abs=8)


def test_a_receipt_is_close_to_that_on_the_wire() -> None:
    receipt = msg.Receipt(KEY, 200, msg.Verdict.ACCEPTED)
    assert pytest.approx(len(encode_receipts([receipt])), abs=4) == RECEIPT_BYTES
