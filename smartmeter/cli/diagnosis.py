"""What ``smartmeter doctor PORT`` finds out by talking with a meter: a short, harmless visit.

It identifies, logs on, reads ST-01 and leaves.  What came over the line, and
when, is kept: where nobody answers it tells why that may be.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

from protocols.datalink.packet import ACK, NAK, STP
from protocols.errors import (
    LinkError,
    PortError,
    ProtocolError,
    RemoteProtocolError,
    ServiceRefused,
)
from protocols.psem.identification import parse_identification
from protocols.transports.port import MODEM, Port
from protocols.transports.pump import MeterPort
from protocols.transports.serial_port import SerialPort
from smartmeter.base.finding import Finding, well, wrong
from smartmeter.cli.logon import call_conversation, is_call
from smartmeter.cli.meter_line import MeterLine

BITS_AN_OCTET = 10
#: The modem lines that a probe may take its power from, in the order in which they are tried.
POWER = ((True, False), (True, True), (False, True), (False, False))
#: Later than this a line is slow: common USB adapters keep octets for 16 ms.
LATE_S = 0.010
MAX_KEPT_OCTETS = 4096
IDENTIFY = bytes.fromhex("ee0000000001201310")


class WatchedPort:
    """A port that keeps what came, and how long the meter took to acknowledge."""

    def __init__(self, inner: Port) -> None:
        self._inner = inner
        self._written_s: float | None = None
        self._baud = 9600
        self.written = b""
        self.heard = b""
        self.delays_s: list[float] = []

    def read(self, timeout_s: float) -> bytes:
        """Read, and note when the first octet after a packet came."""
        data = self._inner.read(timeout_s)
        if data and len(self.heard) < MAX_KEPT_OCTETS:
            self.heard += data
        if data and self._written_s is not None:
            if data[0] == ACK:
                bits_s = len(data) * BITS_AN_OCTET / self._baud if _is_line(self._inner) else 0.0
                self.delays_s.append(max(0.0, time.monotonic() - self._written_s - bits_s))
            self._written_s = None
        return data

    def write(self, data: bytes) -> None:
        """Write, and note when a packet had left."""
        self._inner.write(data)
        self.written = (self.written + data)[-MAX_KEPT_OCTETS:]
        if STP in data:
            self._written_s = time.monotonic()

    def set_baud(self, baud: int) -> None:
        """Change the speed."""
        self._baud = baud
        self._inner.set_baud(baud)

    def close(self) -> None:
        """Let the port go."""
        self._inner.close()


def _is_line(port: Port) -> bool:
    return isinstance(port, SerialPort) and port.is_line


def talk(line: MeterLine) -> Iterator[Finding]:
    """Visit the meter, and tell what was found."""
    try:
        port = line.open_port()
    except ProtocolError as error:
        yield wrong(line.port, str(error), "check the name, and that it is free")
        return
    watched, vanished = WatchedPort(port), []

    def reopen() -> Port:
        vanished.append(line.port)
        watched._inner = line.open_port()
        return watched

    logon = replace(line.logon, attempts=1)
    call = call_conversation(line.port, logon)
    again = reopen if call is None else None  # a call that has ended is not begun anew
    meter = MeterPort(watched, logon, line.options, reopen=again, conversation=call)
    try:
        with meter:
            yield from _of_the_meter(meter, call is not None)
    except PortError as error:
        yield wrong(line.port, str(error), "check the cable and the power of the probe")
    except LinkError as error:
        if not vanished:
            yield from _of_silence(line, watched, error)
    except ProtocolError as error:
        yield wrong("meter", str(error), "another meter may need --assume; see --help")
    if vanished:
        remedy = "a loose cable or a hub without power; reads go on by themselves, writes do not"
        yield wrong(
            "vanishing", f"{line.port} vanished and came back {len(vanished)} times", remedy
        )
    for quirk, times in meter.client.quirks.met.items():
        text = f"{quirk.value.seen} ({times} times)"
        yield well(f"{quirk.number} {quirk.label}", text, quirk.value.remedy)
    yield from _of_latency(watched, line.port)


def _of_the_meter(meter: MeterPort, is_a_call: bool) -> Iterator[Finding]:
    assert meter.opened is not None
    limits = meter.client.limits
    text = f"{_standard(meter.opened.identification)}, granted {limits.packet_octets} octets"
    text += f" x {limits.packets} packets"
    if not is_a_call:
        text += f" at {meter.client.baud} baud"
    yield well("meter", text)
    if meter.opened.password_accepted is False:
        yield wrong("password", "refused", "several wrong ones may lock the port")
    try:
        yield well("ST-01", f"{len(meter.read(1))} octets read")
    except ServiceRefused as error:
        yield well("ST-01", str(error), "a password may open it")
    meter.keep_alive(1)


def _standard(identification: bytes) -> str:
    """Tell what a meter follows; a session does without what cannot be read of it."""
    try:
        who = parse_identification(identification)
    except RemoteProtocolError as error:
        return str(error)
    return f"{who.standard} {who.version}.{who.revision}"


def _of_latency(watched: WatchedPort, port: str) -> Iterator[Finding]:
    if not watched.delays_s:
        return
    late_s = statistics.median(watched.delays_s)
    text = f"acknowledgments come {late_s * 1000:.0f} ms after a packet"
    remedy = ""
    if late_s > LATE_S:
        remedy = "a USB adapter's timer: set its latency_timer to 1 ms (Linux: in /sys/bus/"
        remedy += "usb-serial/devices), or ask for larger packets"
        if "://" in port or port.startswith("tcp:"):
            remedy = "the network adds it: larger packets need fewer turns"
    yield well("latency", text, remedy)


def _of_silence(line: MeterLine, watched: WatchedPort, error: LinkError) -> Iterator[Finding]:
    """Say why nobody may have answered, by what came instead."""
    rest = watched.heard
    for own in (watched.written, IDENTIFY):
        rest = rest.replace(own, b"")
    if watched.heard and not rest.strip(b"\x55\0"):
        text = "only our own octets come back, no meter"
        remedy = "seat the probe on the port; the echo itself is no harm"
    elif rest and _is_text(rest):
        shown = rest.decode("ascii", "replace").strip()[:40]
        text = f"text comes instead of packets: {shown!r}"
        remedy = "a console is on this UART: on a Raspberry Pi switch the serial login shell off"
        remedy += " (raspi-config) and take console=serial0 from cmdline.txt"
        if rest.lstrip().startswith(b"/"):
            remedy = "a meter of IEC 62056-21: it is not an ANSI meter"
    elif rest and not rest.strip(bytes((ACK,))):
        text = f"a meter acknowledges, and does not answer: {error}"
        remedy = "it may be at work, or held by another session: try again in a minute"
    elif rest and not rest.strip(bytes((ACK, NAK))):
        text = f"a meter refuses our packets as damaged (NAK): {error}"
        remedy = "clean the window and seat the probe; a maker's own checksum: --assume crc-swapped"
    elif rest:
        text = f"{len(rest)} octets came that are no packet: {rest[:8].hex(' ')}"
        remedy = "the wrong speed: a session may be open at another (wait 6 s, or --baud); on a"
        remedy += " Raspberry Pi's mini-UART (ttyS0) the speed drifts: use ttyAMA0"
    elif is_call(line.port):
        text = f"the call stands, and nobody answers in it: {error}"
        remedy = "the wrong number, or another device on a shared line: modem:NUMBER/IDENTITY@PORT"
    else:
        text = f"nobody answers: {error}"
        remedy = "seat the probe with its flat side down (an IEC head may sit turned by 180"
        remedy += " degrees), try --rts/--no-rts and --dtr/--no-dtr, check that it is this port"
    yield wrong("meter", text, remedy)
    if not watched.heard and not line.port.startswith(("sim:", MODEM)):
        yield from _with_other_power(line)


def _with_other_power(line: MeterLine) -> Iterator[Finding]:
    """Try the other settings of the modem lines, where the port has any."""
    for rts, dtr in POWER:
        if (rts, dtr) == (line.rts, line.dtr):
            continue
        try:
            port = line.open_port(rts, dtr)
        except ProtocolError:
            return
        try:
            if not _is_line(port):
                return
            port.write(IDENTIFY)
            if ACK in port.read(1.0):
                options = f"--{'' if rts else 'no-'}rts --{'' if dtr else 'no-'}dtr"
                remedy = f"the probe takes its power from there: {options}"
                yield wrong("power", f"the meter answers with {options}", remedy)
                return
        except PortError:
            return
        finally:
            port.close()


def _is_text(octets: bytes) -> bool:
    printable = sum(32 <= octet < 127 or octet in (9, 10, 13) for octet in octets)
    return printable >= 4 and printable * 10 >= len(octets) * 9
