"""The topology families by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fedswarm.swarm.positional_topologies import Complete, Hypercube, Line, Ring, Star, Tree
from fedswarm.swarm.repaired_topologies import Custom, ErdosRenyi, KRegular, SmallWorld, Torus
from fedswarm.swarm.topology import Family

# Each takes its own parameters as keyword arguments; all but erdos_renyi and custom have defaults.
FAMILIES: Final[Mapping[str, Callable[..., Family]]] = {
    "star": Star,
    "line": Line,
    "ring": Ring,
    "tree": Tree,
    "complete": Complete,
    "k_regular": KRegular,
    "erdos_renyi": ErdosRenyi,
    "small_world": SmallWorld,
    "torus": Torus,
    "hypercube": Hypercube,
    "custom": Custom,
}
