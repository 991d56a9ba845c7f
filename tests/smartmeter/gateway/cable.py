"""A TCP cable that the test can cut, swallow on, and mend: a probe, or a network."""

import socket
import threading
import time


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
