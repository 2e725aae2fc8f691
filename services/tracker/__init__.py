"""The tracker: introduces peers to one another and is never in the way of weights."""
