"""The gRPC shell around :mod:`fedswarm.swarm`: links to peers, data streams, and the node that joins them."""
