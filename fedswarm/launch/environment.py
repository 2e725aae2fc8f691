"""The environment that service processes start in. A variable the user has set is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # gRPC frees every received message to the kernel and faults the next one in again unless malloc keeps large
        # blocks; with these three a stream of chunks runs at almost twice the rate. glibc reads them at start only.
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
        "MALLOC_TOP_PAD_": str(64 << 20),
        # One thread a process: executors are the parallelism, and small models run slower on several threads.
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        # Otherwise gRPC writes a line of its own for every connection that the other side closes.
        "GRPC_VERBOSITY": "ERROR",
        # Over links slower than this machine gRPC wakes up for every packet of a large message unless it may tell the
        # kernel how much is still to come; with both, a broadcast takes a seventh less processor time.
        "GRPC_EXPERIMENTS": "tcp_frame_size_tuning,tcp_rcv_lowat",
    }
)


def service_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The variables of a service process: ours below those inherited."""
    return {**SETTINGS, **inherited}
