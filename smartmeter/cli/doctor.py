"""``smartmeter doctor``: ports, permissions, clock and dependencies, each with its remedy."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from protocols.transports.modem_port import call_name
from smartmeter.base.clock import utc_moment
from smartmeter.base.finding import Finding, well, wrong
from smartmeter.cli.file_name import NAME
from smartmeter.cli.given import refuse_given
from smartmeter.cli.logon import is_call
from smartmeter.cli.meter_line import MeterLine, remote_options
from smartmeter.version import VERSION

#: package -> what it is needed for.
CORE = {
    "construct": "tables",
    "crcmod": "the C12.18 checksum",
    "pyserial": "serial ports",
    "click": "the command line",
    "rich": "the command line",
}
EXTRAS = {
    "cryptography": ("network", "C12.22's AES"),
    "nicegui": ("tms", "the web page"),
    "argon2-cffi": ("tms", "the page's log-in"),
}
#: A board without a battery-backed clock starts in 1970 or at its image's date.
EARLIEST_SENSIBLE_UTC_S = 1_704_067_200


def look_at_dependencies() -> Iterator[Finding]:
    """Look whether each package is installed; an absent extra is no fault."""
    for package, purpose in CORE.items():
        try:
            yield well(package, f"{version(package)}, for {purpose}")
        except PackageNotFoundError:
            yield wrong(package, f"missing, for {purpose}", f"pip install {package}")
    for package, (extra, purpose) in EXTRAS.items():
        try:
            yield well(package, f"{version(package)}, for {purpose}")
        except PackageNotFoundError:
            remedy = f'if you want {purpose}: pip install "smartmeter[{extra}]"'
            yield well(package, f"not installed, for {purpose} only", remedy)


def look_at_clock(utc_s: float) -> Finding:
    """Look whether the computer's clock can be right; it stamps what is sent."""
    shown = f"{utc_moment(int(utc_s)):%Y-%m-%d %H:%M:%S} UTC"
    if utc_s < EARLIEST_SENSIBLE_UTC_S:
        return wrong("clock", shown, "set the clock, or start its NTP service")
    return well("clock", shown)


def look_at_ports() -> Iterator[Finding]:
    """Look at every serial port of this computer."""
    from protocols.transports.serial_port import local_ports

    ports = local_ports()
    if not ports:
        yield well("serial ports", "none found", "plug in an optical probe to read a meter")
    for port in ports:
        yield look_at_port(port)


def look_at_port(name: str) -> Finding:
    """Look whether one port is there and may be opened; nothing is sent on it.

    Of a call it is the port of the modem.
    """
    if is_call(name):
        found = look_at_port(call_name(name).port)
        return replace(found, subject=f"modem at {found.subject}")
    if "://" in name or name.startswith(("sim:", "tcp:")):
        return well(name, "a network or simulated port: not looked at before it is used")
    if os.name == "posix":
        path = Path(name)
        if not path.exists():
            return wrong(name, "not there", "check the cable, or list ports: smartmeter doctor")
        if not os.access(path, os.R_OK | os.W_OK):
            remedy = "sudo usermod -aG dialout $USER, then log in again"
            return wrong(name, "no permission", remedy)
    from protocols.transports.serial_port import opening_fault

    if fault := opening_fault(name):
        return wrong(name, fault, "close the program that uses it, or check its name")
    return well(name, "opens")


def look_at_board(name: str, root: Path = Path("/")) -> Iterator[Finding]:
    """Look at what is peculiar to a Raspberry Pi's own UARTs; ``root`` is the file system's."""
    model = _text(root / "proc/device-tree/model")
    if "Raspberry Pi" not in model or not Path(name).name.startswith(("serial", "tty")):
        return
    device = Path(name).name
    for alias in ("serial0", "serial1"):
        link = root / "dev" / alias
        if device == alias and link.is_symlink():
            device = Path(os.readlink(link)).name
    command_line = _text(root / "proc/cmdline")
    if any(f"console={tty}" in command_line for tty in (device, "serial0")):
        remedy = "sudo raspi-config, Interface Options, Serial Port: no login shell, hardware on"
        yield wrong("console", f"the kernel's console is on {device}", remedy)
    if device == "ttyS0":
        remedy = (
            "dtoverlay=disable-bt in config.txt gives ttyAMA0 to the pins, or fix core_freq=250"
        )
        yield well("mini-UART", "ttyS0 follows the processor's clock", remedy)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(4096).decode("ascii", "replace")
    except OSError:
        return ""


def look_into(port: str, line: MeterLine) -> Iterator[Finding]:
    """Look at one port, and where it opens talk with the meter there."""
    if line.is_network:
        from smartmeter.cli.network_diagnosis import talk_over_network

        yield from talk_over_network(line)
        return
    from smartmeter.cli.diagnosis import talk

    found = look_at_port(port)
    yield found
    yield from look_at_board(port)
    if not found.wrong and _may_be_a_line(port):
        yield from talk(line)


def _may_be_a_line(port: str) -> bool:
    """Tell whether a port can have a meter behind it: not a plain file or /dev/null."""
    if is_call(port):
        port = call_name(port).port
    return "://" in port or port.startswith(("sim:", "tcp:")) or os.name != "posix" or _is_tty(port)


def _is_tty(port: str) -> bool:
    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


@click.command()
@click.argument("port", required=False, type=NAME)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@remote_options
def command(port: str | None, as_json: bool, **line: Any) -> int:
    """Look at dependencies, clock and ports; tell what is wrong and how to mend it.

    With PORT it also talks with the meter there: it reads ST-01, names what this
    meter and this line do differently, and says why nobody may have answered.
    PORT is what `smartmeter read` takes, c1222://HOST[:PORT]/APTITLE too.
    """
    if port is None:
        refuse_given((*line, "pcap"), "is for a meter: name its PORT, too")
    system = f"{VERSION} on Python {sys.version.split()[0]}, {sys.platform}"
    findings = [well("smartmeter", system)]
    findings += look_at_dependencies()
    findings.append(look_at_clock(time.time()))
    findings += look_into(port, MeterLine(port, **line)) if port else look_at_ports()
    if as_json:
        values = [
            {"subject": one.subject, "well": not one.wrong, "text": one.text, "remedy": one.remedy}
            for one in findings
        ]
        click.echo(json.dumps(values, indent=1))
    else:
        click.echo("\n".join(map(str, findings)))
    return 1 if any(one.wrong for one in findings) else 0
