"""Real namespaces; skipped where they cannot be had."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from network.namespace import Namespace, NetworkError, parse_received_bytes
from network.network import MBPS, Rates
from network.star import ShapedStar, available

BENCHMARK = Path(__file__).parents[2] / "benchmark"
WITHIN_S = 20.0

shaped_links = pytest.mark.skipif(available() is not None, reason=available() or "")


def eventually(condition):
    ends_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.02)


RECEIVE = """
import socket, sys, time
with socket.create_server((sys.argv[1], 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
with connection:
    connection.recv(1)
    began = time.monotonic()
    while connection.recv(65536):
        pass
    print(time.monotonic() - began)
"""

SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(bytes(int(sys.argv[3])))
"""


def transfer_s(star, source, sink, size):
    receiver = star.command(sink, [sys.executable, "-c", RECEIVE, star.address(sink)])
    with subprocess.Popen(receiver, stdout=subprocess.PIPE, text=True) as receiving:
        port = receiving.stdout.readline().strip()
        sender = star.command(source, [sys.executable, "-c", SEND, star.address(sink), port, str(size)])
        subprocess.run(sender, check=True, timeout=WITHIN_S)
        return float(receiving.stdout.read())


@shaped_links
@pytest.mark.parametrize(("source", "sink"), [("wide", "narrow"), ("narrow", "wide")])
def test_no_transfer_is_faster_than_the_narrower_of_two_links(source, sink):
    narrow = Rates(2 * MBPS, 4 * MBPS)
    with ShapedStar({"wide": Rates(100 * MBPS, 100 * MBPS), "narrow": narrow}) as star:
        before = star.received_bytes(sink)
        took_s = transfer_s(star, source, sink, 250_000)
        assert star.received_bytes(sink) - before > 250_000
    rate_bps = narrow.up_bps if source == "narrow" else narrow.down_bps
    # What one full bucket lets pass at once is not held against it.
    assert took_s > 8 * (250_000 - 2 * 16 * 1024) / rate_bps


@shaped_links
def test_hosts_see_each_other_and_nothing_else():
    rates = Rates(MBPS, MBPS)
    with ShapedStar({"a": rates, "b": rates}) as star:
        assert star.address("a") != star.address("b")
        addresses = star.command("a", ["ip", "-brief", "-4", "address"])
        shown = subprocess.run(addresses, check=True, capture_output=True, text=True).stdout
    assert {line.split()[0].partition("@")[0] for line in shown.splitlines()} == {"lo", "eth0"}


@shaped_links
def test_nothing_is_left_of_a_star_whose_maker_is_killed():
    program = (
        f"import sys, time; sys.path.insert(0, {str(BENCHMARK)!r})\n"
        "import subprocess\n"
        "from network.namespace import Namespace\n"
        "space = Namespace()\n"
        "inside = subprocess.Popen(space.command(['sleep', '600']))\n"
        "print(space.pid, inside.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as maker:
        pids = [int(pid) for pid in maker.stdout.readline().split()]
        assert all(runs(pid) for pid in pids)
        maker.send_signal(signal.SIGKILL)
    eventually(lambda: not any(runs(pid) for pid in pids))


def runs(pid):
    """A killed process whose new parent has not waited for it yet is gone all the same."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@shaped_links
def test_a_command_that_fails_to_set_something_up_is_shown():
    space = Namespace()
    with pytest.raises(NetworkError, match=r"ip link set nowhere up: .*nowhere"):
        space.run("ip", "link", "set", "nowhere", "up")
    space.close()


@shaped_links
def test_a_star_that_cannot_be_made_leaves_nothing_behind(monkeypatch):
    made = []

    class Watched(Namespace):
        def __init__(self):
            super().__init__()
            made.append(self.pid)

    monkeypatch.setattr("network.star.Namespace", Watched)
    with pytest.raises(NetworkError, match="tc qdisc add"), ShapedStar({"a": Rates(0, MBPS)}):
        pass
    assert len(made) == 2
    assert not any(runs(pid) for pid in made)


def test_missing_tools_are_named_with_their_packages(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert available() == (
        "shaped links need tools that are not installed: apt-get install ethtool iproute2 util-linux"
    )


def test_an_ordinary_user_is_told_to_be_root(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    for tool in ("ip", "tc", "ethtool", "unshare", "nsenter", "setpriv"):
        (tmp_path / tool).touch(mode=0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert available() == "shaped links need root: run this as root"


@pytest.mark.parametrize("hosts", [0, 251])
def test_a_star_has_room_for_one_to_250_hosts(hosts):
    with pytest.raises(ValueError, match=f"a star has 1 to 250 hosts, not {hosts}"):
        ShapedStar({str(host): Rates(MBPS, MBPS) for host in range(hosts)})


def test_the_kernels_table_of_counters_is_read_by_interface():
    table = (
        "Inter-|   Receive                |  Transmit\n"
        " face |bytes    packets errs drop|bytes    packets\n"
        "    lo:     100       1    0    0      100       1\n"
        "  eth0: 4321234     300    0    0      999       2\n"
    )
    assert parse_received_bytes(table, "eth0") == 4_321_234
    with pytest.raises(NetworkError, match="no interface 'eth1'"):
        parse_received_bytes(table, "eth1")
