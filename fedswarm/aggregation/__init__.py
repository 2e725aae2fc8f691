"""Aggregation: weighted sums that do not depend on order, and the server algorithms that turn them into a model."""
