"""The capture of this process: what passes its ports goes into one pcapng file.

A program has at most one capture; a verb's ``--pcap FILE`` begins it, and every
port, served machine, listener and bearer looks here.  Frames of C12.18 are cut
out of the byte stream, so that each is one packet in the file.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from protocols.c1222.native_address import DEFAULT_PORT
from protocols.datalink.packet import (
    ACK,
    HEADER_OCTETS,
    MAX_PACKET_OCTETS,
    NAK,
    OVERHEAD_OCTETS,
    STP,
)
from protocols.errors import PortError
from protocols.transports.ip_packets import MAX_STREAMS, Endpoint, PacketMaker, endpoint
from protocols.transports.pcapng import RAW_IP, USER_C1218, Captured, PcapngWriter
from protocols.transports.port import Port
from protocols.transports.private_file import open_private

_NOWHERE = "0.0.0.0"


class Capture:
    """One file that is being written.  Any thread may call.

    A file that takes no more, such as on a full disk, ends the capture and nothing
    else: what is watched goes on, and ``close`` tells of it.
    """

    def __init__(self, out: BinaryIO, name: str) -> None:
        self._writer = PcapngWriter(out)
        self._out = out
        self._name = name
        self._failure: OSError | None = None
        self._maker = PacketMaker()
        self._lock = threading.Lock()
        self._owners: OrderedDict[frozenset[Endpoint], Endpoint] = OrderedDict()
        #: Ports that stand for far ends which have none.
        self._without_ip: dict[str, int] = {}
        try:
            out.flush()  # a capture of nothing is one too, also of a process that is killed
        except OSError as error:
            self._failure = error

    def apdu(
        self,
        sent: bool,
        local: Endpoint,
        remote: Endpoint,
        is_stream: bool,
        octets: bytes,
        *,
        listens: bool,
    ) -> None:
        """Note one APDU that was sent or received; ``listens`` tells that this is the server's end.

        Wireshark knows C12.22 by its port: a server on another one is shown on
        1153, and its own port in a comment.  Where both ends are in this
        process, the one that speaks first tells.
        """
        ends = (local, remote) if sent else (remote, local)
        server = local if listens else remote
        shown = [(end[0], DEFAULT_PORT) if end == server else end for end in ends]
        comment = "" if server[1] == DEFAULT_PORT else f"in fact port {server[1]}"
        with self._lock:
            if self._owners.setdefault(frozenset(ends), local) != local:
                return
            if len(self._owners) > MAX_STREAMS:
                self._owners.popitem(last=False)
            packet = self._maker.packet(shown[0], shown[1], is_stream, octets)
            self._write(Captured(RAW_IP, _utc_us(), packet, sent), comment)

    def carried(self, sent: bool, by: str, octets: bytes, *, listens: bool) -> None:
        """Note one APDU that was carried without IP, such as by short message.

        It is shown as a datagram between ports of nowhere, one of each far end; the comment
        tells ``by`` what it came.
        """
        with self._lock:
            if by not in self._without_ip:
                self._without_ip[by] = len(self._without_ip) % MAX_STREAMS + 1
            here, there = (_NOWHERE, DEFAULT_PORT), (_NOWHERE, self._without_ip[by])
            if not listens:
                here, there = there, here
            ends = (here, there) if sent else (there, here)
            packet = self._maker.packet(*ends, False, octets)
            self._write(Captured(RAW_IP, _utc_us(), packet, sent), f"in fact by {by}")

    def simulated(
        self, utc_us: int, source: Endpoint, destination: Endpoint, octets: bytes, comment: str
    ) -> None:
        """Note one APDU that arrived in a simulation, at an instant of its calendar."""
        with self._lock:
            packet = self._maker.packet(source, destination, False, octets)
            self._write(Captured(RAW_IP, utc_us, packet), comment)

    def frame(self, sent: bool, octets: bytes) -> None:
        """Note one frame of C12.18; sent is from here to the peer."""
        with self._lock:
            self._write(Captured(USER_C1218, _utc_us(), octets, sent))

    def _write(self, packet: Captured, comment: str = "") -> None:
        if self._failure is None:
            try:
                self._writer.packet(packet, comment)
            except OSError as error:
                self._failure = error

    def close(self) -> None:
        """End the file; PortError when it does not hold everything."""
        try:
            self._out.close()
        except OSError as error:
            self._failure = self._failure or error
        if self._failure is not None:
            fault = f"{self._name}: the capture is not whole: {self._failure.strerror}"
            raise PortError(f"{fault}; free space, or choose another file") from self._failure


def _utc_us() -> int:
    return time.time_ns() // 1000


_active: Capture | None = None
_intended: Path | None = None
_beginning = threading.Lock()


def intend(path: Path) -> None:
    """Have what passes the first port that opens begin the capture; OSError for no such file.

    Whatever is refused before leaves nothing behind, and what stood there stays.
    """
    global _intended
    if not path.exists():
        target = os.path.realpath(path)  # a link may lead to where nothing is yet
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.unlink(target)
    elif path.is_file():  # to open a pipe would tell its reader, once it is closed, of an end
        os.close(os.open(path, os.O_WRONLY))
    _intended = path


def begin(path: Path) -> Capture:
    """Begin the capture of this process; PortError when the file cannot be made.

    Nobody else may read it: passwords pass an optical port in clear.
    """
    global _active
    try:
        _active = Capture(os.fdopen(open_private(path), "wb"), str(path))
    except OSError as error:
        raise PortError(f"{path}: {error.strerror}; choose another name") from error
    return _active


def end() -> None:
    """End the capture, if there is one; PortError when its file does not hold everything."""
    global _active, _intended
    capture, _active, _intended = _active, None, None
    if capture is not None:
        capture.close()


def active() -> Capture | None:
    """Give the capture of this process, or None; one that was intended begins."""
    global _intended
    with _beginning:
        if _intended is not None:
            path, _intended = _intended, None
            begin(path)
    return _active


class FrameCutter:
    """Cuts one direction of a C12.18 line into its frames: packets, ACK, NAK, anything else."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Give the frames that are whole now."""
        self._buffer += data
        found = []
        while frame := self._next():
            found.append(frame)
            del self._buffer[: len(frame)]
        return found

    def rest(self) -> bytes:
        """Give what never became a frame, and forget it."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return rest

    def _next(self) -> bytes:
        buffer = self._buffer
        if not buffer:
            return b""
        if buffer[0] != STP:
            end = buffer.find(STP)
            single = bytes(buffer[:1]) if buffer[0] in (ACK, NAK) else b""
            return single or bytes(buffer if end < 0 else buffer[:end])
        if len(buffer) < HEADER_OCTETS:
            return b""
        size = int.from_bytes(buffer[4:6], "big") + OVERHEAD_OCTETS
        if size > MAX_PACKET_OCTETS:
            return bytes(buffer)  # no packet is so long: noise, written as it came
        return bytes(buffer[:size]) if len(buffer) >= size else b""


class LineCapture:
    """Both directions of one C12.18 line, into a capture."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._cutters = {True: FrameCutter(), False: FrameCutter()}

    def note(self, sent: bool, data: bytes) -> None:
        """Note bytes; when the direction turns, what was cut short is written as it is."""
        if rest := self._cutters[not sent].rest():
            self._capture.frame(not sent, rest)
        for frame in self._cutters[sent].feed(data):
            self._capture.frame(sent, frame)


class Notes:
    """What is told of all that passes one line or connection, and puts it into a capture."""

    def __init__(self, note: Callable[[bool, bytes], None] = lambda sent, octets: None) -> None:
        self.sent = partial(note, True)
        self.received = partial(note, False)


def line_notes() -> Notes:
    """Give the notes of a line of C12.18, into the capture of this process if there is one."""
    capture = active()
    return Notes() if capture is None else Notes(LineCapture(capture).note)


def apdu_notes(local: Endpoint, remote: Endpoint, *, listens: bool, is_stream: bool) -> Notes:
    """Give the notes of APDUs between two ends, by TCP or else by UDP."""
    capture = active()
    if capture is None:
        return Notes()

    def note(sent: bool, octets: bytes) -> None:
        capture.apdu(sent, local, remote, is_stream, octets, listens=listens)

    return Notes(note)


def socket_notes(
    connection: socket.socket, far_end: tuple[str, int], *, listens: bool, is_stream: bool = True
) -> Notes:
    """Give the notes of the APDUs of a new connection.

    The name of the far end is asked for when the connection is made: one that was reset has none,
    and what it brought before is noted after that.
    """
    if active() is None:
        return Notes()
    ends = endpoint(connection.getsockname()), endpoint(far_end)
    return apdu_notes(*ends, listens=listens, is_stream=is_stream)


def carried_notes(by: str, *, listens: bool) -> Notes:
    """Give the notes of APDUs that are carried without IP."""
    capture = active()
    if capture is None:
        return Notes()

    def note(sent: bool, octets: bytes) -> None:
        capture.carried(sent, by, octets, listens=listens)

    return Notes(note)


class CapturingPort:
    """A port whose bytes go into the capture, and is one itself."""

    def __init__(self, inner: Port) -> None:
        self._inner, self._notes = inner, line_notes()

    def read(self, timeout_s: float) -> bytes:
        """Read, and note what came."""
        data = self._inner.read(timeout_s)
        if data:
            self._notes.received(data)
        return data

    def write(self, data: bytes) -> None:
        """Note, and write."""
        self._notes.sent(data)
        self._inner.write(data)

    def set_baud(self, baud: int) -> None:
        """Change the speed of the port inside."""
        self._inner.set_baud(baud)

    def close(self) -> None:
        """Let the port inside go."""
        self._inner.close()


def captured(port: Port) -> Port:
    """Give the port, into the capture of this process if there is one."""
    return port if active() is None else CapturingPort(port)
