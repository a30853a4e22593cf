"""A process whose memory the kernel writes nowhere and shows to nobody but root: it holds subjects' data and keys.

A core of a worker had 208 MB and held names, numbers and the master key. Two settings, because neither is enough:

* the limit of a core file is zero (RLIMIT_CORE), which child processes inherit; but a core that goes to a program, such
  as systemd-coredump, is made regardless of it (core(5));
* the process is not dumpable (PR_SET_DUMPABLE), so that no core is made at all, and other processes of the same user
  can neither attach a debugger nor read /proc/PID/mem, environ and fd. A program that is executed begins dumpable
  again, so every process of the broker says it for itself.

Debuggers and profilers (gdb, py-spy) have to be run as root, who may attach to any process. There is no switch to turn
this off: one that is forgotten would be found out by the core.
"""

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def forbid_dumps() -> None:
    """Makes this process one that leaves no core, and that only root can look into. Raises `OSError`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl") and libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
