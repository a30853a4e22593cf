"""SIGHUP while a broker starts: it waits until there is a supervisor to obey it. By itself it would end the process."""

import signal

_HELD = {signal.SIGHUP}


def hold_reloads() -> None:
    """Lets SIGHUP wait. To be called before anything that takes long: importing the broker takes a second."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)


def release_reloads() -> None:
    """Delivers a SIGHUP that has waited, and those to come."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
