"""Seconds that have passed, those of a suspended machine too: a lease goes on meanwhile, and others settle it."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Return seconds since some moment in the past; no setting of the machine's clock moves them."""
    return time.clock_gettime(_CLOCK)
