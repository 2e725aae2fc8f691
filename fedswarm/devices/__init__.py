"""Simulated devices: how fast they compute and communicate, and when they are there."""
