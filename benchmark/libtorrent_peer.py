"""One libtorrent process of ``broadcast.py``: the seed or a peer. See :mod:`trial.child`."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import libtorrent
from blake3 import blake3
from trial.child import Child, Facts

SETTINGS: Final[dict[str, Any]] = {
    # Nothing but the members: no discovery, no port mapping, TCP without encryption.
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "in_enc_policy": int(libtorrent.enc_policy.pe_disabled),
    "out_enc_policy": int(libtorrent.enc_policy.pe_disabled),
    "alert_mask": int(libtorrent.alert.category_t.status_notification),
    # Members on one machine, linked before anybody is interested in anybody.
    "allow_multiple_connections_per_ip": True,
    "close_redundant_connections": False,
    # The best of 20 combinations tried with release 2.1.1, 8 peers and 20 MB. Time of the last peer over the bound,
    # homogeneous and heterogeneous: out of the box 1.36 and 1.58, these 1.23 and 1.34. A short request queue does most
    # of it. Other sizes of pieces (16 to 128 KiB), few or rated unchoke slots, smaller send buffers, a loose end game
    # and announcing pieces ahead gave 1.30 to 1.50.
    "request_queue_time": 1,
    "unchoke_slots_limit": -1,
    "initial_picker_threshold": 0,
    "whole_pieces_threshold": 1,
}
PIECE_BYTES: Final = 32 * 1024
CONNECT_S: Final = 20.0
BYTES_PER_MBIT: Final = 125_000


def open_session(options: argparse.Namespace) -> libtorrent.session:
    """Listens; keeps to the rates of the command line, zero being no limit."""
    rates = {
        "listen_interfaces": f"{options.host}:0",
        "upload_rate_limit": int(options.up_mbps * BYTES_PER_MBIT),
        "download_rate_limit": int(options.down_mbps * BYTES_PER_MBIT),
    }
    session = libtorrent.session(SETTINGS | rates)
    everybody = libtorrent.ip_filter()
    everybody.add_rule("0.0.0.0", "255.255.255.255", 1 << session.global_peer_class_id)
    session.set_peer_class_filter(everybody)  # or peers on the local network would be free of the limits
    return session


def write_torrent(data: Path, torrent: Path) -> None:
    """The hashes of a file, as a torrent of version 1."""
    file = libtorrent.create_file_entry(data.name, data.stat().st_size)
    content = libtorrent.create_torrent([file], PIECE_BYTES, libtorrent.create_torrent.v1_only)
    libtorrent.set_piece_hashes(content, str(data.parent))
    torrent.write_bytes(libtorrent.bencode(content.generate()))


def add(session: libtorrent.session, torrent: Path, folder: Path, seed: bool) -> libtorrent.torrent_handle:
    """Joins the swarm of a torrent; a peer asks for nothing before ``upload_mode`` is taken away."""
    wanted = libtorrent.add_torrent_params()
    wanted.ti = libtorrent.torrent_info(str(torrent))
    wanted.save_path = str(folder)
    wanted.flags = libtorrent.torrent_flags.seed_mode if seed else libtorrent.torrent_flags.upload_mode
    return session.add_torrent(wanted)


def connect(handle: libtorrent.torrent_handle, me: str, members: Mapping[str, Facts]) -> None:
    """Returns when links to all other members stand; of two, the one with the later name dials."""
    for name, facts in members.items():
        if name < me:
            host, _, port = facts["target"].partition(":")
            handle.connect_peer((host, int(port)))
    unfinished = libtorrent.peer_info.connecting | libtorrent.peer_info.handshake
    ends_s = time.monotonic() + CONNECT_S
    while sum(not peer.flags & unfinished for peer in handle.get_peer_info()) < len(members) - 1:
        if time.monotonic() > ends_s:
            raise TimeoutError(f"{me} has {handle.status().num_peers} links after {CONNECT_S} s")
        time.sleep(0.02)


def download(session: libtorrent.session, handle: libtorrent.torrent_handle) -> None:
    """Returns when every piece is here and verified."""
    handle.unset_flags(libtorrent.torrent_flags.upload_mode)
    while not handle.status().is_seeding:
        session.wait_for_alert(100)
        session.pop_alerts()


def report(child: Child, handle: libtorrent.torrent_handle, file: Path) -> None:
    """What libtorrent counted; control bytes are what it sent beside payload."""
    status = handle.status()
    child.report(
        wasted_bytes=status.total_redundant_bytes + status.total_failed_bytes,
        control_bytes=status.total_upload - status.total_payload_upload,
        digest=blake3(file.read_bytes()).hexdigest(),
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--host", required=True, help="IPv4 address to bind")
    parser.add_argument("--torrent", type=Path, required=True, help="written by the seed, read by peers")
    parser.add_argument("--data", type=Path, help="the file to seed")
    parser.add_argument("--up-mbps", type=float, default=0.0, help="cap of what this process sends")
    parser.add_argument("--down-mbps", type=float, default=0.0, help="cap of what it receives")
    options = parser.parse_args()
    child = Child()
    session = open_session(options)
    if options.data:
        write_torrent(options.data, options.torrent)
    members = child.meet(target=f"{options.host}:{session.listen_port()}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data.parent if options.data else Path(scratch)
        handle = add(session, options.torrent, folder, seed=options.data is not None)
        connect(handle, options.name, members)
        child.await_go()
        if not options.data:
            download(session, handle)
            child.finished()
        child.await_stop()
        report(child, handle, folder / handle.status().name)
        session.pause()


if __name__ == "__main__":
    main()
