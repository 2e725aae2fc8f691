"""The driver's door; its commands live in :mod:`fedswarm.cli`."""
