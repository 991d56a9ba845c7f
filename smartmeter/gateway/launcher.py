"""What starts the version that is to run, watches one on trial, and takes the old one back.

With ``[upgrade]`` in the settings, ``gateway run`` begins here.  A version that
has proved itself takes this process' place.  A version on trial is a child of
this process: when it ends, is killed or hangs, it is started again up to three
times, and then the old version is.  Every decision is on the boot page before
it is acted upon, so that it does not matter when the power goes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from types import FrameType

from smartmeter.base.errors import StorageError
from smartmeter.gateway.beginning import SLOT_VARIABLE, STAYS, TRIAL, command_of
from smartmeter.gateway.flash_file import FlashFile
from smartmeter.gateway.settings import GatewaySettings, UpgradeSettings
from smartmeter.gateway.slots import Slots, choose, give_up
from smartmeter.ssi.boot import Boot

#: What a version on trial gets for its start and its end beside the trial's own time.
MARGIN_S = 60
REST_S = 1.0
STORAGE_REST_S = 10.0
PR_SET_PDEATHSIG = 1


def die_with(launcher: int, prctl: Callable[[int, int], int]) -> None:
    """Have this process, just forked, killed with its launcher: two must not share a meter.

    The system tells of a death from now on; the launcher may have been killed before.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:
        os.kill(os.getpid(), signal.SIGKILL)


class Launcher:
    """Decides again and again until a version may stay."""

    def __init__(
        self, settings: GatewaySettings, arguments: Sequence[str], note: Callable[[str], None]
    ) -> None:
        assert settings.upgrade is not None
        self._upgrade: UpgradeSettings = settings.upgrade
        self._state = settings.seats[0].state
        self._slots = Slots(settings.upgrade.slots)
        self._arguments, self._note = arguments, note
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> bool:
        """Give way to the version that is to run.

        Returns only when this very program is to run (True), or when it was
        told to stop while another was on trial (False).
        """
        before = {n: signal.signal(n, self._stop) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            while not self._stopping:
                boot = self._decide()
                if boot is None:
                    time.sleep(STORAGE_REST_S)
                elif boot.trial:
                    self._try(boot)
                elif self._slots.folder(boot.slot).exists():
                    os.execve(
                        sys.executable, command_of(self._arguments), self._environment(boot, STAYS)
                    )
                else:
                    return True
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return False

    def _decide(self) -> Boot | None:
        try:
            with closing(FlashFile(self._state)) as nvram:
                return choose(nvram, self._slots)
        except StorageError as error:
            self._note(str(error))
            return None

    def _try(self, boot: Boot) -> None:
        """Run a version on trial until it ends; one that hangs is left for good."""
        self._note(f"version {boot.version} is on trial, start {boot.starts}")
        self._child = subprocess.Popen(
            command_of(self._arguments),
            env=self._environment(boot, TRIAL),
            preexec_fn=partial(die_with, os.getpid(), ctypes.CDLL(None).prctl),
        )
        try:
            if self._stopping:
                self._child.terminate()
            status = self._child.wait(self._upgrade.trial_s + MARGIN_S)
            self._note(f"version {boot.version} ended with status {status}")
            time.sleep(REST_S)
        except subprocess.TimeoutExpired:
            self._note(f"version {boot.version} hangs")
            self._child.kill()
            self._child.wait()
            with closing(FlashFile(self._state)) as nvram:
                give_up(nvram)
        finally:
            self._child = None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.terminate()

    def _environment(self, boot: Boot, kind: str) -> dict[str, str]:
        environment = {**os.environ, SLOT_VARIABLE: kind}
        rest = environment.get("PYTHONPATH")
        folder = str(self._slots.folder(boot.slot))
        environment["PYTHONPATH"] = os.pathsep.join([folder, *([rest] if rest else [])])
        # The service manager's watchdog is fed by whoever works.
        environment.pop("WATCHDOG_PID", None)
        return environment
