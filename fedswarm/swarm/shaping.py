"""The link that a peer emulates: token buckets that follow its device, a class of devices, or plain figures.

Shaping needs no privileges: a peer holds its own bytes back. It limits rates. Latency and loss, which device classes
have as well, are for the simulator and for ``tc``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from fedswarm.devices.device_classes import DEVICE_CLASSES
from fedswarm.devices.time_model import UPLINK_SHARE, megabits
from fedswarm.devices.world import ClientTime
from fedswarm.jobs.exchange_sections import ShapingSection
from fedswarm.swarm.token_bucket import ConstantRate, RateSource, TokenBucket

# What a late timer may catch up. Enough for an event loop on a busy machine, little against any transfer of weights.
BURST_S: Final = 0.025
MIN_BURST_BYTES: Final = 16 * 1024


@dataclass(frozen=True)
class DeviceRate:
    """One direction of a device's link, its pauses included, on a clock that shows ``origin_s`` when the trace begins.

    The arithmetic is the simulation's: a link carries ``share`` of the device's downlink, and transfers count
    ``network_scale`` times. Instants before the origin raise no error but are not defined.
    """

    device: ClientTime
    share: float
    origin_s: float

    def bps(self, now_s: float) -> float:
        """The rate at an instant, bits a second."""
        return self.device.bandwidth_mbps(now_s - self.origin_s) * 1e6 * self.share / self.device.network_scale

    def finish_s(self, start_s: float, n_bytes: int) -> float:
        """When ``n_bytes`` begun at ``start_s`` are through; infinite if never."""
        mbit = megabits(n_bytes) / self.share * self.device.network_scale
        return self.origin_s + self.device.finish_transfer(start_s - self.origin_s, mbit)


@dataclass(frozen=True)
class Caps:
    """The rates of one direction: with all other peers together, and with each of them. ``None`` is no limit."""

    total: RateSource | None = None
    each: RateSource | None = None

    def for_all(self, now_s: float) -> TokenBucket | None:
        """The bucket that everything in this direction passes."""
        return None if self.total is None else bucket_of(self.total, now_s)

    def for_one(self, now_s: float) -> TokenBucket | None:
        """A new bucket for one other peer, besides that for all."""
        return None if self.each is None else bucket_of(self.each, now_s)


@dataclass(frozen=True)
class LinkShape:
    """The link of one peer: what it sends and what it receives."""

    up: Caps = Caps()
    down: Caps = Caps()

    @classmethod
    def of_executor(cls, section: ShapingSection, device: ClientTime | None = None, now_s: float = 0.0) -> Self:
        """The link that an executor emulates from ``now_s`` on.

        ``device`` is that of the executor's client, without effect unless the job asks for it (``link: device``).
        """
        if section.link == "none":
            return cls.of_process(section)
        up, down = _link(section, device, now_s)
        return cls(Caps(up, _constant(section.peer_up_mbps)), Caps(down, _constant(section.peer_down_mbps)))

    @classmethod
    def of_process(cls, section: ShapingSection) -> Self:
        """The limits that the job sets to every process, whatever it emulates."""
        return cls(
            Caps(_constant(section.up_mbps), _constant(section.peer_up_mbps)),
            Caps(_constant(section.down_mbps), _constant(section.peer_down_mbps)),
        )


def bucket_of(rate: RateSource, now_s: float) -> TokenBucket:
    """A bucket that fills at this rate from ``now_s`` on, small enough for bursts not to matter."""
    return TokenBucket(rate, max(MIN_BURST_BYTES, int(rate.bps(now_s) / 8 * BURST_S)))


def _link(section: ShapingSection, device: ClientTime | None, now_s: float) -> tuple[RateSource, RateSource]:
    if section.link == "device":
        if device is None:
            raise ValueError("exchange.shaping.link is 'device', but no device was given")
        origin_s = now_s - section.trace_start_s
        return DeviceRate(device, UPLINK_SHARE, origin_s), DeviceRate(device, 1.0, origin_s)
    device_class = DEVICE_CLASSES[section.link]
    return ConstantRate(device_class.up_mbps * 1e6), ConstantRate(device_class.down_mbps * 1e6)


def _constant(mbps: float | None) -> RateSource | None:
    return None if mbps is None else ConstantRate(mbps * 1e6)
