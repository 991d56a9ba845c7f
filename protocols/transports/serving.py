"""A machine served to others: on a pty, a serial line or TCP, in one asyncio loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from protocols.errors import PortError
from protocols.machine import HangUp, Machine, SetBaud
from protocols.transports.capture import Notes, line_notes
from protocols.transports.port import monotonic_us, system_words

READ_OCTETS = 4096
#: The longest sleep; a machine's deadline on a scaled calendar moves under it.
MAX_SLEEP_S = 1.0


class ServedMachine:
    """Runs one machine: bytes go in by ``feed``, come out by ``write``, deadlines are kept."""

    def __init__(
        self,
        machine: Machine,
        write: Callable[[bytes], None],
        set_baud: Callable[[int], None] = lambda baud: None,
        captured: bool = True,
    ) -> None:
        self._machine = machine
        self._write = write
        self._set_baud = set_baud
        self._notes = line_notes() if captured else Notes()
        self._woken = asyncio.Event()
        self._fault: Exception | None = None

    def feed(self, data: bytes) -> None:
        """Give the machine bytes from the line."""
        self._notes.received(data)
        self._machine.receive(data, monotonic_us())
        self.flush()
        self._woken.set()

    def take(self, data: bytes) -> None:
        """Feed it where nobody hears of an error: ``run`` ends with it instead."""
        try:
            self.feed(data)
        except Exception as error:
            self._fault = error
            self._woken.set()

    def flush(self) -> None:
        """Write what the machine has to say."""
        if data := self._machine.outgoing():
            self._notes.sent(data)
            self._write(data)
            self._machine.sent(monotonic_us())
        for event in self._machine.events():
            if isinstance(event, HangUp):
                raise PortError(event.reason)
            if isinstance(event, SetBaud):
                self._set_baud(event.baud)

    async def run(self) -> None:
        """Keep the machine's deadlines until cancelled; it may speak first, as to a modem."""
        self.flush()
        while self._fault is None:
            due_us = self._machine.deadline_us()
            wait_s = MAX_SLEEP_S if due_us is None else (due_us - monotonic_us()) / 1e6
            if wait_s > 0:
                self._woken.clear()
                # Not wait_for: before Python 3.12 it loses a cancellation that meets a wake-up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(wait_s, MAX_SLEEP_S)):
                        await self._woken.wait()
            if due_us is not None and monotonic_us() >= due_us:
                self._machine.expire(monotonic_us())
                self.flush()
                await asyncio.sleep(0)
        raise self._fault


async def serve_pty(machine: Machine, link: Path, ready: Callable[[], None]) -> None:
    """Serve a machine on a new pty that ``link`` points to, until cancelled; POSIX only.

    Both ends stay open here, so that clients may come and go.  A link that leads to a pty,
    or nowhere any more, as one of a killed process does, is replaced; PortError where another
    process serves that pty, which only Linux tells.
    """
    try:
        import pty
        import tty
    except ImportError:
        raise PortError("this system has no pty; serve on TCP: --tcp HOST:PORT") from None
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    try:
        if link.is_symlink() and (not link.exists() or _beside(link.resolve(), name)):
            if _is_served(link):
                raise OSError(errno.EEXIST, "another process serves there")
            link.unlink()
        link.symlink_to(name)
        _lock(theirs)
    except OSError as error:
        os.close(ours)
        os.close(theirs)
        raise PortError(f"{link}: {error.strerror}; choose a name that is free") from error
    os.set_blocking(ours, False)
    served = ServedMachine(machine, lambda data: _write_all(ours, data))
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: served.take(_read(ours)))
    try:
        ready()
        await served.run()
    finally:
        loop.remove_reader(ours)
        with contextlib.suppress(OSError):
            if os.readlink(link) == name:  # and no other process's by now
                link.unlink()
        os.close(ours)
        os.close(theirs)


def _beside(path: Path, name: str) -> bool:
    """Tell whether a path is where this pty is: that of a serial port, or a file, is elsewhere."""
    return path.parent == Path(name).parent


def _is_served(link: Path) -> bool:
    """Tell whether another process that serves holds a pty: its lock ends with it, also by kill -9.

    The pty's number alone tells nothing: by now it may be that of somebody's terminal.
    """
    try:
        descriptor = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a pty for who serves it; False where another process has.

    Only on Linux is this lock apart from that of clients (flock): elsewhere it would keep them out.
    """
    if sys.platform != "linux":
        return True
    import fcntl

    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a system without locks for a pty
    return True


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, READ_OCTETS)
    except OSError:
        return b""


def _write_all(descriptor: int, data: bytes) -> None:
    """Write to a pty; what its buffer cannot hold, because nobody reads, is lost as on a line."""
    with contextlib.suppress(BlockingIOError):
        while data:
            data = data[os.write(descriptor, data) :]


async def serve_serial(
    machine: Machine, device: str, ready: Callable[[], None], captured: bool = True
) -> None:
    """Serve a machine on a serial line, until cancelled.

    ``captured`` False: what passes is no C12.18, but what a modem is told.
    """
    from protocols.transports.serial_port import SerialPort

    port = SerialPort(device, turn_around_s=0.0)  # the machine keeps the standard's
    served = ServedMachine(machine, port.write, port.set_baud, captured)
    keeping = asyncio.create_task(served.run())
    try:
        ready()
        while True:
            data = await asyncio.to_thread(port.read, 0.1)
            if data:
                served.feed(data)
            if keeping.done():
                keeping.result()
    finally:
        keeping.cancel()
        port.close()


async def serve_tcp(machine: Machine, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve a machine on TCP, one client at a time as on a line, until cancelled."""
    line: asyncio.StreamWriter | None = None

    def write(data: bytes) -> None:
        if line is not None and not line.is_closing():
            line.write(data)

    served = ServedMachine(machine, write)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal line
        if line is not None:
            line.close()
        line = writer
        # Ended with the server: asyncio would print a task of a connection that ends as cancelled.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(READ_OCTETS):
                if line is not writer:
                    break
                served.take(data)
        writer.close()
        if line is writer:
            line = None

    try:
        server = await asyncio.start_server(client, host, port)
    except (OSError, OverflowError) as error:
        remedy = "choose a port that is free, and above 1023 if you are not root"
        raise PortError(f"{host}:{port}: {system_words(error)}; {remedy}") from error
    try:
        ready(server.sockets[0].getsockname()[1])
        await served.run()
    finally:
        # Not "async with": from Python 3.12 on that waits until the client goes.
        server.close()
        if line is not None:
            line.close()
