"""What all tests share."""

import os
import signal

from hypothesis import HealthCheck, settings

# How fast examples are made says something about the machine, nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # as services are started: no line for every connection that ends

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # shells ignore it for what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
