"""Debian's mosquitto, for the tests of whatever speaks MQTT."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.ports import free_port

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
NEEDS_MOSQUITTO = pytest.mark.skipif(not MOSQUITTO, reason="needs the Debian package mosquitto")


class Broker:
    """mosquitto on a port of its own, with what else its file says; may be started again."""

    def __init__(self, folder: Path | None = None, *more: str) -> None:
        self.port = free_port()
        self._said = ["-p", str(self.port)]
        if folder is not None:
            file = folder / "mosquitto.conf"
            listener = f"listener {self.port} 127.0.0.1", "allow_anonymous true", "user root"
            file.write_text("\n".join((*listener, *more, "")))
            self._said = ["-c", str(file)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [str(MOSQUITTO), *self._said],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("mosquitto does not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
