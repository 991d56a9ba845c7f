"""What starts a version on trial: whoever is killed, no version outlives its launcher."""

import ctypes
import os
import signal
import subprocess
import sys
from functools import partial

from smartmeter.gateway.launcher import die_with


def test_a_child_whose_launcher_was_killed_before_it_began_is_killed() -> None:
    prctl = ctypes.CDLL(None).prctl
    for launcher, status in ((os.getpid(), 0), (os.getppid(), -signal.SIGKILL)):
        done = subprocess.run(
            [sys.executable, "-S", "-c", ""], preexec_fn=partial(die_with, launcher, prctl)
        )
        assert done.returncode == status
