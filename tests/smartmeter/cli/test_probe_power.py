"""A probe that lives on DTR alone serves every verb that opens a port, when it is told so."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from protocols.errors import PortError
from protocols.transports import pump
from protocols.transports.memory import MachinePort
from protocols.transports.port import Port
from protocols.transports.pump import monotonic_us
from smartmeter.base.clock import wall_utc_us
from smartmeter.cli import group, logon
from smartmeter.gateway import meter_checks, setup
from smartmeter.gateway.settings import read_settings
from smartmeter.meter.sample import meter_named

NAME, DTR_ALONE = "/dev/probe", ("--no-rts", "--dtr")


def open_probe(name: str, rts: bool = True, dtr: bool = False) -> Port:
    """Open a probe with a simulated meter behind it, which is dead under other lines."""
    if (name, rts, dtr) != (NAME, False, True):
        raise PortError(f"{name} under RTS {rts}, DTR {dtr} is dead")
    return MachinePort(meter_named("sim:", wall_utc_us(), monotonic_us()), monotonic_us)


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (logon, pump, setup, meter_checks):
        monkeypatch.setattr(module, "open_port", open_probe)


def verb(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, standalone_mode=False)


@pytest.mark.parametrize(
    "words",
    [
        ("read", NAME, "5"),
        ("meter", "show", NAME),
        ("conformance", NAME, "--check", "D07"),
        ("clone", NAME, "{folder}/meter.json", "--no-bauds"),
    ],
    ids=lambda words: words[0],
)
def test_every_verb_on_a_port_may_say_where_its_probe_takes_its_power_from(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    words = tuple(word.format(folder=tmp_path) for word in words)
    assert "is dead" in str(verb(*words).exception)
    done = verb(*words, *DTR_ALONE)
    assert done.exception is None and not done.return_value, done.output


def test_a_program_may_say_where_its_probe_takes_its_power_from() -> None:
    with pump.open_meter(NAME, rts=False, dtr=True) as meter:
        assert meter.read(5)


@pytest.mark.parametrize("word", ["clone", "conformance", "read"])
def test_a_meter_on_the_network_has_no_modem_lines(word: str, tmp_path: Path) -> None:
    more = (str(tmp_path / "x"),) if word == "clone" else ()
    assert "--dtr" in str(verb(word, "c1222://127.0.0.1/.7", *more, "--dtr").exception)


def test_a_gateway_keeps_where_its_probe_takes_its_power_from(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    done = verb("gateway", "init", "--out", str(folder), "--port", NAME, "--yes", *DTR_ALONE)
    assert done.exception is None, done.output
    (seat,) = read_settings(folder / "gateway.toml", os.environ).seats
    assert (seat.rts, seat.dtr) == (False, True)
    assert "a meter answers" in next(meter_checks.check_meter(seat)).text
