"""A whole swarm in one process: real peers and real bytes over a network and a clock that are made up.

Everything is a function of its seed, so a failure found once can be watched again. Time passes only from event to
event; hours cost what happens in them, and thousands of peers fit in one heap.
"""
