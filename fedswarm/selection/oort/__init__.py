"""Oort: guided participant selection (Lai, Zhu, Madhyastha, Chowdhury, OSDI 2021, arXiv:2010.06081).

Each module is one part of the paper's Algorithm 1. Where its authors' code or the widespread re-implementation in the
Bliss fork of FedScale (the *reference*) differ from the paper, the module says how, and ``fidelity`` chooses.
"""
