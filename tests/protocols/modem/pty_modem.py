"""A modem on a pty, for tests: written anew from V.250 and 27.005, so that it knows our code not.

It dials whoever ``numbers`` names, a machine behind the far modem, and carries
short messages as PDUs to another such modem.
"""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable
from typing import Any

Machine = Any
#: A telephone rings until somebody answers; in life it takes six seconds from ring to ring.
RING_S = 1.0


class PtyModem:
    """Runs in a thread until closed; ``name`` is the pty to open."""

    def __init__(self, numbers: dict[str, Callable[[], Machine]] | None = None) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.name = os.ttyname(self.slave)
        self.numbers = numbers or {}
        self.commands: list[str] = []
        self.far: Machine | None = None
        #: Who is there still while commands are given in a call.
        self.held: Machine | None = None
        #: Messages that came and were not deleted: index to PDU.
        self.stored: dict[int, str] = {}
        #: Where a message goes that is sent: number to modem.
        self.network: dict[str, PtyModem] = {}
        self.own_number = ""
        self.refuses_messages = False
        #: S0 of its stored profile: it answers the first ring, unless told otherwise.
        self.stored_profile_takes_calls = self.takes_calls_itself = False
        self._echo = True
        self._line = b""
        self._awaits_pdu = False
        self._caller: Machine | None = None
        self._rang = 0.0
        self._outbox: list[tuple[PtyModem, str]] = []
        self._quiet_since = time.monotonic()
        self._escaped: float | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopped = True
        self._thread.join(5)
        os.close(self.master)
        os.close(self.slave)

    def lose_carrier(self) -> None:
        """The far modem has gone."""
        with self._lock:
            self.far = None
            self._say("NO CARRIER")

    def ring(self, caller: Machine) -> None:
        """Somebody calls: a machine that is at the far end once the call is taken."""
        with self._lock:
            self._caller, self._rang = caller, time.monotonic()
            self._say("RING")

    def deliver(self, pdu: str) -> None:
        """A message has come from the network."""
        with self._lock:
            index = max(self.stored, default=0) + 1
            self.stored[index] = pdu
            self._say(f'+CMTI: "SM",{index}')

    def _run(self) -> None:
        while not self._stopped:
            ready, _, _ = select.select([self.master], [], [], 0.01)
            with self._lock:
                if ready:
                    try:
                        self._take(os.read(self.master, 4096))
                    except OSError:
                        return
                self._turn()
                outbox, self._outbox = self._outbox, []
            for modem, pdu in outbox:  # not under the lock: the other may be sending to us
                modem.deliver(pdu)

    def _turn(self) -> None:
        """Let the far machine work, and notice the silence after an escape."""
        if self._escaped is not None and time.monotonic() - self._escaped > 0.9:
            self._escaped, self.held = None, self.far
            self.far = None
            self._say("OK")
        if self._caller is not None and time.monotonic() - self._rang > RING_S:
            # Whoever opens the port forgets what came before.
            self._rang = time.monotonic()
            self._say("RING")
        if self.far is None:
            return
        now_us = time.monotonic_ns() // 1000
        due_us = self.far.deadline_us()
        if due_us is not None and due_us <= now_us:
            self.far.expire(now_us)
        if data := self.far.outgoing():
            os.write(self.master, data)
            self.far.sent(now_us)
        if any(type(event).__name__ == "HangUp" for event in self.far.events()):
            self.far = None
            self._say("NO CARRIER")

    def _take(self, data: bytes) -> None:
        now = time.monotonic()
        if self.far is not None:
            if data == b"+++" and now - self._quiet_since > 0.3:  # a busy machine reads late
                self._escaped = now
            else:
                self.far.receive(data, time.monotonic_ns() // 1000)
            self._quiet_since = now
            return
        if self._echo:
            os.write(self.master, data)
        self._line += data
        while True:
            end = b"\x1a" if self._awaits_pdu else b"\r"
            line, found, rest = self._line.partition(end)
            if not found:
                return
            self._line = rest
            if self._awaits_pdu:
                self._awaits_pdu = False
                self._send(line.decode().strip())
            else:
                self._command(line.decode().strip())

    def _command(self, text: str) -> None:
        self.commands.append(text)
        if text.startswith("ATZ"):  # what is behind it is left out, as V.250 allows
            self._echo, self.takes_calls_itself = True, self.stored_profile_takes_calls
            self._say("OK")
        elif text.startswith("ATE0"):
            self._echo = False
            self.takes_calls_itself = self.takes_calls_itself and "S0=0" not in text
            self._say("OK")
        elif text.startswith("ATD"):
            make = self.numbers.get(text[3:])
            if make is None:
                self._say("NO ANSWER")
            else:
                self._say("CONNECT 9600")
                self.far, self._quiet_since = make(), time.monotonic()
        elif text == "ATA" and self.takes_calls_itself:
            self._caller = None  # it was answering, and any character ends that
            self._say("NO CARRIER")
        elif text == "ATA" and self._caller is not None:
            self._say("CONNECT 9600")
            self.far, self._caller = self._caller, None
            self._quiet_since = time.monotonic()
        elif text.startswith("AT+CMGS="):
            self._awaits_pdu = True
            os.write(self.master, b"\r\n> ")
        elif text.startswith("AT+CMGL"):
            for index, pdu in self.stored.items():
                self._say(f"+CMGL: {index},0,,{len(pdu) // 2 - 1}", pdu)
            self._say("OK")
        elif text.startswith("AT+CMGR="):
            pdu = self.stored.get(int(text[8:]))
            self._say(
                *([f"+CMGR: 0,,{len(pdu) // 2 - 1}", pdu, "OK"] if pdu else ["+CMS ERROR: 321"])
            )
        elif text.startswith("AT+CMGD="):
            self.stored.pop(int(text[8:]), None)
            self._say("OK")
        elif text == "ATH":
            if hasattr(self.held, "hung_up"):
                self.held.hung_up()
            self._say("OK")
        elif text.startswith(("AT+C", "ATE")):
            self._say("OK")
        else:
            self._say("ERROR")

    def _send(self, pdu: str) -> None:
        """Turn a submitted message into a delivered one, as the network does."""
        if self.refuses_messages:
            self._say("+CMS ERROR: 38")
            return
        octets = bytes.fromhex(pdu)
        at = 1 + octets[0]
        first, digits = octets[at], octets[at + 2]
        end = at + 4 + (digits + 1) // 2
        address = octets[at + 3 : end]
        number = "".join(f"{o & 15:x}{o >> 4:x}" for o in address[1:]).rstrip("f")[:digits]
        to = ("+" if address[0] == 0x91 else "") + number
        pid_dcs = octets[end : end + 2]
        rest = octets[end + 2 :]
        own = self.own_number.lstrip("+")
        swapped = bytes(int(f"{(own + 'f')[n + 1]}{own[n]}", 16) for n in range(0, len(own), 2))
        sender = bytes([len(own), 0x91 if self.own_number.startswith("+") else 0x81]) + swapped
        deliver = bytes([0, first & 0x40 | 0x04]) + sender + pid_dcs + bytes(7) + rest
        self._say("+CMGS: 1", "OK")
        if to in self.network:
            self._outbox.append((self.network[to], deliver.hex().upper()))

    def _say(self, *lines: str) -> None:
        os.write(self.master, b"".join(b"\r\n" + line.encode() + b"\r\n" for line in lines))
