"""``smartmeter conformance c1222://HOST[:PORT]/APTITLE``: the bench on a node of the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from random import SystemRandom

import click

from protocols.errors import PortError
from protocols.transports.apdu_connection import ApduConnection
from protocols.transports.network_name import parse_name
from protocols.transports.pump import monotonic_us
from smartmeter.base.errors import SmartMeterError
from smartmeter.cli.known_keys import read_keys
from smartmeter.cli.meter_line import NetworkOptions
from smartmeter.conformance.bench import Permit
from smartmeter.conformance.network_bench import NetworkBench, NetworkCheck, run_network
from smartmeter.conformance.network_checks import NETWORK_CHECKS
from smartmeter.conformance.verdicts import Result, Unreachable

#: Options that a network has no use for: its checks ask for no procedure, draw and repeat nothing.
NOT_HERE = (
    *("allow_procedures", "groups", "budget", "seed", "examples", "tries"),
    *("failures", "profile_file", "yes_serial", "replay_file", "rts", "dtr"),
)


def chosen_checks(names: tuple[str, ...], permits: Set[Permit]) -> list[NetworkCheck]:
    """Give the checks that are wanted and allowed."""
    if unknown := set(names) - {one.name for one in NETWORK_CHECKS}:
        raise click.UsageError(f"{min(unknown)} is no check of a network; see --plan")
    chosen = [
        one
        for one in NETWORK_CHECKS
        if (one.needs is None or one.needs in permits) and (not names or one.name in names)
    ]
    if not chosen:
        needs = next(one.needs for one in NETWORK_CHECKS if one.name == names[0])
        permit = needs.value if needs else ""
        raise click.UsageError(f"{names[0]} would not be run: it needs --allow-{permit}")
    return chosen


def plan_lines(checks: list[NetworkCheck]) -> list[str]:
    """Say what will be asked."""
    left_out = len(NETWORK_CHECKS) - len(checks)
    lines = [f"{one.name:5s} network    {one.title}" for one in checks]
    lines.append(f"{len(checks)} checks, about {4 * len(checks)} s at most where all is well")
    allow = "--allow-writes or --allow-attacks"
    return lines + ([f"{left_out} checks are left out: they need {allow}"] if left_out else [])


def run_on_network(
    name: str,
    checks: list[NetworkCheck],
    waivers: Mapping[str, str],
    logon: tuple[bytes | None, int],
    network: NetworkOptions,
    told: Callable[[Result], None],
) -> None:
    """Run the checks; each result is told as it comes."""
    target = parse_name(name)
    bench = NetworkBench(
        ApduConnection(target, network.tls(name)),
        target.title,
        monotonic_us,
        lambda: int(time.time()),
        SystemRandom().randrange(1, 0x7000),
        read_keys((), network.key_file).of_node(target.title),
        *logon,
    )
    try:
        run_network(bench, checks, waivers, told)
    except (PortError, Unreachable) as error:
        raise SmartMeterError(
            name, str(error), f"look at the way to it: smartmeter doctor {name}"
        ) from error
    finally:
        bench.line.close()
