"""One control link, against a wire of the test's own."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from fedswarm.errors import WireError
from fedswarm.swarm.handshake import PROTOCOL
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Address, Alive, Bitfield, Choke, Goodbye, Hello, Interested, Message, Unchoke
from fedswarm.swarm.wire import MAX_MESSAGES, decode_letter, encode_letter
from services.peer.link import Link
from services.peer.traffic import Meter

HELLO = Hello(PROTOCOL, "job", Address("other", "host:1"))


class Wire:
    """Gives the letters of the test, keeps those of the link; while ``stuck`` it takes none."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[object] = asyncio.Queue()
        self.letters: list[list[Message]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def read(self) -> object:
        return await self.incoming.get()

    async def write(self, letter: bytes) -> None:
        await self.free.wait()
        self.letters.append(decode_letter(letter))

    def say(self, *messages: Message) -> None:
        self.incoming.put_nowait(encode_letter(messages))


class Running:
    """A link at work."""

    def __init__(self) -> None:
        self.wire, self.heard, self.meter = Wire(), [], Meter()
        self.link = Link(HELLO, dialled=True, meter=self.meter)
        self.run = asyncio.create_task(self.link.run(self.wire, self.heard.append))

    async def said(self, count: int) -> list[list[Message]]:
        while sum(map(len, self.wire.letters)) < count:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)
        return self.wire.letters


@pytest.fixture
async def running() -> Any:
    running = Running()
    yield running
    running.run.cancel()
    await asyncio.gather(running.run, return_exceptions=True)


async def test_what_waits_goes_out_in_one_letter_in_order(running: Any) -> None:
    said = [Choke(), Interested(Key(1, "a")), Unchoke(), Alive()]
    for message in said:
        running.link.send(message)
    assert await running.said(4) == [said]


async def test_a_letter_holds_no_more_than_the_other_side_takes(running: Any) -> None:
    for _ in range(MAX_MESSAGES + 3):
        running.link.send(Alive())
    letters = await running.said(MAX_MESSAGES + 3)
    assert [len(letter) for letter in letters] == [MAX_MESSAGES, 3]


async def test_messages_are_heard_in_order(running: Any) -> None:
    running.wire.say(Choke(), Unchoke())
    running.wire.say(Alive())
    while len(running.heard) < 3:  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.001)
    assert running.heard == [Choke(), Unchoke(), Alive()]


async def test_bytes_are_counted(running: Any) -> None:
    running.link.send(Alive())
    running.wire.say(Goodbye("over"))
    await running.said(1)
    await running.run
    assert running.meter.control_sent == len(encode_letter([Alive()]))
    assert running.meter.control_received == len(encode_letter([Goodbye("over")]))


async def test_a_goodbye_ends_it_and_says_why(running: Any) -> None:
    running.wire.say(Alive(), Goodbye("enough"), Choke())
    assert "enough" in await running.run
    assert running.heard == [Alive(), Goodbye("enough")]


async def test_the_end_of_the_call_ends_it(running: Any) -> None:
    running.wire.incoming.put_nowait(grpc.aio.EOF)
    assert await running.run == "it ended the link"


@pytest.mark.parametrize("letter", [b"\xff" * 8, encode_letter([HELLO])])
async def test_a_breach_of_the_protocol_is_raised(running: Any, letter: bytes) -> None:
    running.wire.incoming.put_nowait(letter)
    with pytest.raises(WireError):
        await running.run


async def test_closing_says_goodbye_after_what_was_said_before(running: Any) -> None:
    running.link.send(Choke())
    running.link.close("going home")
    running.link.send(Unchoke())
    assert await running.run == "going home"
    assert running.wire.letters == [[Choke(), Goodbye("going home")]]


async def test_goodbye_is_said_once(running: Any) -> None:
    running.link.send(Goodbye("leaving"))
    running.link.close("leaving")
    await running.run
    assert running.wire.letters == [[Goodbye("leaving")]]


async def test_a_peer_that_does_not_read_does_not_hold_up_the_end(running: Any) -> None:
    running.wire.free.clear()
    running.link.send(Alive())
    running.link.close("going home")
    assert await running.run == "going home"
    assert running.wire.letters == []


async def test_a_peer_that_stops_reading_is_given_up(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.peer.link._MAX_WAITING_BYTES", 100_000)
    running.wire.free.clear()
    for _ in range(3):
        running.link.send(Bitfield(Key(1, "a"), bytes(40_000)))
    assert await running.run == "it has stopped reading"
