"""Launchers: from a job to running processes, what they leave in the run folder, and how they end together."""
