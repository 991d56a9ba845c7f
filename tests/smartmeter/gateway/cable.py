"""Cables that the test can cut, swallow on, and mend: a network over TCP, a probe on a pty."""

import contextlib
import os
import select
import socket
import threading
import time
import tty
from pathlib import Path


class Cable:
    """Forwards connections to a port; ``state`` is "whole", "cut" or "silent"."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.state = "whole"
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Unplug it: connections end, new ones are closed at once."""
        self.state = "cut"
        for one in self._open:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._open.clear()

    def silence(self) -> None:
        """Connections stand, and nothing arrives."""
        self.state = "silent"

    def mend(self) -> None:
        """All is well again."""
        self.state = "whole"

    def _accept(self) -> None:
        while True:
            near, _ = self._server.accept()
            if self.state == "cut":
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 2)
            except OSError:
                near.close()
                time.sleep(0.05)
                continue
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                if self.state == "whole":
                    sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class ProbeCable:
    """A serial probe on a pty, named by a link, that leads to a meter's TCP port.

    Cut, its device is gone, as when a USB probe is unplugged; silent, the device is there
    and no light falls on it.
    """

    def __init__(self, link: Path, target: int) -> None:
        self._link, self._target = link, target
        self.state = "whole"
        self._plugged = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        assert self._plugged.wait(60)

    def cut(self) -> None:
        """Pull it out; returns when the device has gone."""
        self.state = "cut"
        while self._plugged.is_set():
            time.sleep(0.01)

    def silence(self) -> None:
        """Move it away from the meter's window."""
        self.state = "silent"

    def mend(self) -> None:
        """Put it back."""
        self.state = "whole"

    def _run(self) -> None:
        while True:
            while self.state == "cut":
                time.sleep(0.01)
            near, device = os.openpty()
            tty.setraw(device)
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(os.ttyname(device))
            self._plugged.set()
            while self.state != "cut":
                with contextlib.suppress(OSError), self._meter() as meter:
                    self._carry(near, meter)
                time.sleep(0.02)
            self._link.unlink()
            os.close(near)
            os.close(device)
            self._plugged.clear()

    def _meter(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._target), 2)

    def _carry(self, near: int, meter: socket.socket) -> None:
        while self.state != "cut":
            for ready in select.select([near, meter], [], [], 0.02)[0]:
                if ready is meter:
                    data = meter.recv(65_536)
                    if not data:
                        return
                    if self.state == "whole":
                        os.write(near, data)
                elif (data := os.read(near, 65_536)) and self.state == "whole":
                    meter.sendall(data)
