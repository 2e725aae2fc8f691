"""One measured run of several processes: made ready, introduced to each other, started at once, timed, counted."""
