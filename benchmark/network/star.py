"""Shaped links for real processes on one machine: a star of network namespaces.

Each host is a namespace; a veth pair leads to a bridge in a namespace of its own. Token buckets (``tbf``) on both ends
of the pair give the host's rates, up and down. Segmentation offloads are off, or packets of 64 KiB would pass the
buckets in one piece. Needs root, iproute2, ethtool and util-linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final, Self

from network.namespace import COMMAND_TIMEOUT_S, Namespace
from network.network import Rates

MTU_BYTES: Final = 1500
MAX_HOSTS: Final = 250
_BUCKET: Final = "burst 16kb latency 50ms"
_INTERFACE: Final = "eth0"
_NETWORK: Final = "10.77.0"
# The default of most systems; what the machine at hand has set would change the figures.
_CONGESTION_CONTROL: Final = "cubic"
_PACKAGES: Final = {  # Debian's, by tool
    "ip": "iproute2",
    "tc": "iproute2",
    "ethtool": "ethtool",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}


def available() -> str | None:
    """None where a :class:`ShapedStar` can be made, otherwise what is missing and the way out."""
    if sys.platform != "linux":
        return f"shaped links need Linux's network namespaces, this is {sys.platform}"
    missing = sorted({package for tool, package in _PACKAGES.items() if shutil.which(tool) is None})
    if missing:
        return f"shaped links need tools that are not installed: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "shaped links need root: run this as root"
    probe = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", *_BUCKET.split()]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S)
    if done.returncode != 0:
        return f"the kernel refuses namespaces or token buckets here: {done.stderr.strip()}"
    return None


class ShapedStar:
    """A :class:`network.network.Network`: a context manager, within which the hosts exist.

    Raises :class:`network.namespace.NetworkError` on entry if a command fails; whatever was made until then is gone.
    """

    shaped = True

    def __init__(self, hosts: Mapping[str, Rates]) -> None:
        if not 0 < len(hosts) <= MAX_HOSTS:
            raise ValueError(f"a star has 1 to {MAX_HOSTS} hosts, not {len(hosts)}")
        self._rates = dict(hosts)
        self._numbers = {host: number for number, host in enumerate(hosts, 1)}
        self._spaces: dict[str, Namespace] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with self._open:
            hub = self._space()
            self._spaces = {host: self._space() for host in self._rates}
            hub.run("ip", "-batch", "-", lines=["link add bridge0 type bridge mcast_snooping 0", "link set bridge0 up"])
            for host in self._rates:
                self._plug_in(host, hub)
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def address(self, host: str) -> str:
        """The IPv4 address of a host."""
        return f"{_NETWORK}.{self._numbers[host]}"

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` on a host; it ends with this process at the latest."""
        return self._spaces[host].command(command)

    def received_bytes(self, host: str) -> int:
        """Bytes that came in by the host's link so far, with Ethernet headers."""
        return self._spaces[host].received_bytes(_INTERFACE)

    def _space(self) -> Namespace:
        space = Namespace()
        self._open.callback(space.close)
        return space

    def _plug_in(self, host: str, hub: Namespace) -> None:
        space, rates, port = self._spaces[host], self._rates[host], f"port{self._numbers[host]}"
        pair = f"link add {port} mtu {MTU_BYTES} type veth peer name {_INTERFACE} mtu {MTU_BYTES} netns {space.pid}"
        hub.run("ip", "-batch", "-", lines=[pair, f"link set {port} master bridge0 up"])
        # Without link-local IPv6 addresses nothing but the traffic of processes is counted.
        up = [f"link set {_INTERFACE} addrgenmode none up", f"address add {self.address(host)}/24 dev {_INTERFACE}"]
        route = f"route change {_NETWORK}.0/24 dev {_INTERFACE} src {self.address(host)} congctl {_CONGESTION_CONTROL}"
        space.run("ip", "-batch", "-", lines=["link set lo up", *up, route])
        for end, interface, rate_bps in ((space, _INTERFACE, rates.up_bps), (hub, port, rates.down_bps)):
            end.run("ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off")
            end.run(*f"tc qdisc add dev {interface} root tbf rate {rate_bps:.0f}bit {_BUCKET}".split())
