"""fedswarm: a federated-learning cluster whose weights travel peer to peer.

This package is the library: what a federated round *is*. It opens no socket, starts no process and reads no wall clock,
apart from :mod:`fedswarm.launch` and :mod:`fedswarm.cli`, the driver's tower.
"""

__version__ = "0.1.0"
