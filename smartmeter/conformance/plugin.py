"""The pytest plugin: ``pytest --meter PORT`` gives a meter to tests of one's own.

================ =======================================================================
``meter``        an open session (:class:`~protocols.transports.pump.MeterPort`), one a test
``snapshot``     all tables that may be read, decoded on demand, read once
``bench``        the bench of :mod:`smartmeter.conformance.bench`, to speak octet by octet
================ =======================================================================

PORT is a device, ``tcp:HOST:PORT``, any URL that pyserial knows, or ``sim:`` for a simulated
meter.  The password comes from ``SMARTMETER_PASSWORD``.  Without ``--meter`` tests that use
a fixture are skipped.  Everything is imported when it is used: other suites do not pay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ansi_tables import Snapshot
    from protocols.transports.port import Port
    from protocols.transports.pump import MeterPort
    from smartmeter.conformance.bench import Bench
    from smartmeter.conformance.line import Line

PASSWORD_VARIABLE = "SMARTMETER_PASSWORD"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--meter`` and ``--meter-seed``."""
    group = parser.getgroup("smartmeter", "ANSI C12.18 meters")
    group.addoption("--meter", metavar="PORT", help="the meter that the fixtures use")
    group.addoption("--meter-seed", type=int, default=1, help="what the bench draws")


def _port_name(request: pytest.FixtureRequest) -> str:
    name = request.config.getoption("--meter")
    if not name:
        pytest.skip("needs a meter: pytest --meter PORT, or --meter sim:")
    return str(name)


def _password() -> bytes | None:
    # An empty variable counts as not set, as it does for all verbs.
    return os.environ.get(PASSWORD_VARIABLE, "").encode() or None


def _open(name: str) -> Port:
    from protocols.transports.memory import MachinePort
    from protocols.transports.pump import monotonic_us, open_port
    from smartmeter.base.clock import wall_utc_us
    from smartmeter.meter.sample import is_simulated, meter_named

    if not is_simulated(name):
        return open_port(name)
    return MachinePort(meter_named(name, wall_utc_us(), monotonic_us()), monotonic_us)


@contextmanager
def _or_one_line(name: str) -> Iterator[None]:
    """Fail a test whose meter cannot be had with the reason alone: its trace is not theirs."""
    from protocols.errors import ProtocolError
    from smartmeter.base.errors import SettingsError
    from smartmeter.conformance.verdicts import Deviation, Unreachable

    try:
        yield
    except (ProtocolError, SettingsError, Deviation, Unreachable) as error:
        pytest.fail(f"--meter {name}: {error}", pytrace=False)


@pytest.fixture
def meter(request: pytest.FixtureRequest) -> Iterator[MeterPort]:
    """Give a session with the meter; it is closed after the test."""
    from protocols.c1218.scripts import LogonSettings
    from protocols.transports.pump import MeterPort

    name, settings = _port_name(request), LogonSettings(password=_password())
    with ExitStack() as opened:
        with _or_one_line(name):
            session = opened.enter_context(MeterPort(_open(name), settings))
        yield session


@pytest.fixture(scope="session")
def snapshot(request: pytest.FixtureRequest) -> Snapshot:
    """Give all tables of the meter that may be read."""
    name = _port_name(request)
    line = _line(name)
    try:
        with _or_one_line(name):
            return _bench(line, 1).snapshot()
    finally:
        line.close()


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give a bench on the meter; a simulated one is tested in virtual time."""
    line = _line(_port_name(request))
    try:
        yield _bench(line, request.config.getoption("--meter-seed"))
    finally:
        line.close()


def _line(name: str) -> Line:
    from protocols.transports.pump import monotonic_us
    from smartmeter.base.clock import wall_utc_us
    from smartmeter.conformance.line import PortLine, SimulatedLine
    from smartmeter.meter.sample import is_simulated, meter_named

    with _or_one_line(name):
        if not is_simulated(name):
            return PortLine(_open(name), monotonic_us, lambda: _open(name))
        now_us = monotonic_us()
        return SimulatedLine(meter_named(name, wall_utc_us(), now_us), now_us)


def _bench(line: Line, seed: int) -> Bench:
    from smartmeter.conformance.bench import Bench

    bench = Bench.on(line, seed)
    bench.reader = _password()
    return bench
