"""``smartmeter conformance``: the bench, on any C12.18 device."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from math import isfinite
from pathlib import Path
from random import SystemRandom
from tempfile import gettempdir
from typing import Any

import click

from protocols.errors import PortError
from protocols.transports.modem_port import call_name
from protocols.transports.names import tcp_address
from protocols.transports.port import Port
from protocols.transports.pump import monotonic_us
from smartmeter.base.clock import utc_moment, wall_utc_us
from smartmeter.base.errors import SettingsError, SmartMeterError, told_as
from smartmeter.base.file import read_text
from smartmeter.cli.file_name import FILE, FILE_THERE
from smartmeter.cli.given import refuse_given, refuse_others
from smartmeter.cli.journal import FileJournal, journal_of
from smartmeter.cli.logon import call_key, environment_password, is_call, is_network, open_any_port
from smartmeter.cli.meter_line import NetworkOptions, refuse_power
from smartmeter.cli.probe_power import power_options
from smartmeter.cli.tls import dialling_tls_options
from smartmeter.cli.whole_file import save_whole
from smartmeter.conformance import replaying
from smartmeter.conformance.bench import CALL_GROUP, GROUPS, Bench, Permit, Profile, all_checks
from smartmeter.conformance.html_report import to_html
from smartmeter.conformance.line import Line, PortLine, SimulatedLine
from smartmeter.conformance.line_rules import CALL, OPTICAL
from smartmeter.conformance.report import (
    Report,
    difference,
    failure_lines,
    from_json,
    line_of,
    to_junit,
)
from smartmeter.conformance.runner import Plan, plan, run
from smartmeter.conformance.settings import read_profile, read_waivers
from smartmeter.conformance.verdicts import Deviation, NotApplicable, Result, Unreachable, Verdict
from smartmeter.meter.cloning import identity_of
from smartmeter.meter.sample import is_simulated, meter_named
from smartmeter.version import VERSION

READER_VARIABLE, MASTER_VARIABLE = "SMARTMETER_PASSWORD", "SMARTMETER_MASTER_PASSWORD"
MAX_FILE_OCTETS = 64 << 20
#: The option of each form of a report, and what makes it.
_REPORTS = {"json_file": Report.to_json, "junit_file": to_junit, "html_file": to_html}


@click.command()
@click.argument("port", required=False)
@click.option("--plan", "plan_only", is_flag=True, help="Say what would be sent; send nothing.")
@click.option("--allow-writes", is_flag=True, help="Write names (ST-05, ST-06), and put them back.")
@click.option("--allow-procedures", is_flag=True, help="Ask for procedures that are not there.")
@click.option("--allow-attacks", is_flag=True, help="Wrong passwords, malformed requests, floods.")
@click.option("--group", "groups", multiple=True, type=click.Choice(GROUPS), help="Only these.")
@click.option("--check", "names", multiple=True, metavar="NAME", help="Only these: D07 …")
@click.option("--budget", type=click.FloatRange(min=1), metavar="SECONDS", help="Time in all.")
@click.option("--seed", type=int, help="What is drawn; told in the report, drawn if left out.")
@click.option("--examples", default=20, type=click.IntRange(1, 10_000), help="Sessions drawn.")
@click.option("--tries", default=3, type=click.IntRange(1, 20), help="Runs of a check that fails.")
@click.option("--failures", default=2, type=click.IntRange(1, 20), help="Of these must fail.")
@click.option("--profile", "profile_file", type=FILE, help="What the device claims (TOML).")
@click.option("--waivers", "waiver_file", type=FILE, help="Known deviations (TOML).")
@click.option("--yes-serial", metavar="NUMBER", help="The serial number, where nobody can type it.")
@click.option("--json", "json_file", type=FILE, help="Write the report, to compare and replay.")
@click.option("--junit", "junit_file", type=FILE, help="Write JUnit XML.")
@click.option("--html", "html_file", type=FILE, help="Write one self-contained page.")
@click.option("--replay", "replay_file", type=FILE, help="Run the failures of a report again.")
@click.option("--diff", "diff_files", nargs=2, type=FILE, help="Compare two reports.")
@click.option("--key-file", type=FILE_THERE, help="c1222: keys.")
@dialling_tls_options
@click.option("--user-id", default=0, show_default=True, help="c1222: of the password.")
@power_options
@click.option("-v", "--verbose", is_flag=True, help="Print the octets of each failure.")
def command(port: str | None, **options: Any) -> int:
    """Test the C12.18 device at PORT, and tell what is wrong with a minimal transcript.

    With c1222://HOST[:PORT]/APTITLE it is a node of C12.22, with checks of its own.

    Harmless by default: nothing is written, no procedure is asked for, no wrong
    password is tried, no flood is sent.  Each --allow-... asks for the device's
    serial number.  Passwords come from SMARTMETER_PASSWORD (reading) and
    SMARTMETER_MASTER_PASSWORD (writing).  Exit status 1 only for a violation:
    a rule on which two independent sources agree.
    """
    _refuse_what_does_nothing(port or "", options)
    if options["diff_files"]:
        return _compare(*options["diff_files"])
    if options["budget"] is not None and not isfinite(options["budget"]):
        raise click.UsageError("--budget is a number of seconds")
    if not options["plan_only"]:
        _check_reports(options)
    # Hypothesis keeps facts about texts in files: not in the user's folder.
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", f"{gettempdir()}/smartmeter-hypothesis")
    network = NetworkOptions.of(options)
    network.check(port or "")
    if port is not None and is_network(port):
        return _on_network(port, network, options)
    permits = frozenset(each for each in Permit if options[f"allow_{each.value}"])
    chosen = _chosen(port or "", permits, options)
    profile = read_profile(*_text(options["profile_file"])) if options["profile_file"] else None
    if options["plan_only"]:
        if port is not None:
            _refuse_no_name(port)
        return _say(chosen.lines(permits))
    if port is None:
        raise click.UsageError("give the PORT of the device, or --diff with two reports")
    _refuse_an_empty_run(chosen, options["names"])
    if options["failures"] > options["tries"]:
        raise click.UsageError("--failures cannot be more than --tries")
    bench = _bench(port, profile or Profile(), permits, chosen.seed, options)
    try:
        device = _ask_for_permits(bench, permits, options["yes_serial"])
        if options["replay_file"]:
            return _replay(bench, chosen, device, port, options)
        return _run(bench, chosen, device, port, options)
    except Unreachable as gone:
        raise SmartMeterError(
            port, str(gone), "look at the probe: smartmeter doctor PORT"
        ) from gone
    finally:
        bench.tester.line.close()


def _refuse_what_does_nothing(port: str, options: dict[str, Any]) -> None:
    """Refuse options that have no part in what is asked for."""
    if options["diff_files"]:
        refuse_others(("diff_files",), "has no part in --diff, which compares two reports")
    if options["plan_only"]:
        refuse_given((*_REPORTS, "replay_file"), "is of a run, and --plan runs nothing")
    if options["replay_file"]:
        refuse_given(
            ("groups", "names", "seed"), "has no part in --replay, which runs again what failed"
        )
    if is_network(port):
        return
    refuse_given(("user_id",), "is for c1222://HOST[:PORT]/APTITLE")
    refuse_power(port, options["rts"], options["dtr"])
    if not any(options[f"allow_{each.value}"] for each in Permit):
        refuse_given(("yes_serial",), "goes with --allow-...: nothing else asks for it")


def _on_network(port: str, network: NetworkOptions, options: dict[str, Any]) -> int:
    """Run the checks of C12.22, and write the reports."""
    from protocols.transports.network_name import parse_name
    from smartmeter.cli import conformance_network as network_run

    refuse_given(network_run.NOT_HERE, "is for a line, not for c1222://…")
    permits = {each for each in Permit if options[f"allow_{each.value}"]}
    checks = network_run.chosen_checks(options["names"], permits)
    if options["plan_only"]:
        parse_name(port)
        return _say(network_run.plan_lines(checks))
    logon = environment_password(READER_VARIABLE), options["user_id"]
    results: list[Result] = []
    waivers, tell = _waivers(options), _teller(results, len(checks), options["verbose"])
    status = 1
    try:
        network_run.run_on_network(port, checks, waivers, logon, network, tell)
    finally:
        if results:
            device = {"title": str(parse_name(port).title)}
            status = _end(Report(tuple(results), device, _how(port)), options)
    return status


def _run(
    bench: Bench, chosen: Plan, device: dict[str, str], port: str, options: dict[str, Any]
) -> int:
    """Run the plan and write the reports; what was found is kept also when the port goes."""
    results: list[Result] = []
    try:
        run(bench, chosen, _teller(results, len(chosen.checks), options["verbose"]))
        with suppress(Unreachable, PortError):
            bench.base()
    finally:
        how = {"seed": chosen.seed} | _how(port)
        status = _end(Report(tuple(results), device, how), options)
    return status


def _how(port: str) -> dict[str, Any]:
    """Say what was tested, when and with what."""
    at = utc_moment(wall_utc_us() // 1_000_000).isoformat()
    return {"port": port, "at": at, "smartmeter": VERSION}


def _chosen(port: str, permits: frozenset[Permit], options: dict[str, Any]) -> Plan:
    known = {each.name for each in all_checks()}
    if unknown := [name for name in options["names"] if name not in known]:
        raise click.UsageError(f"{unknown[0]} is no check; see --plan with all --allow options")
    seed = options["seed"] if options["seed"] is not None else SystemRandom().randrange(10**6)
    groups, names = frozenset(options["groups"]), frozenset(options["names"])
    waivers, in_a_call = _waivers(options), is_call(port)
    return plan(permits, groups, names, seed, options["budget"], waivers, in_a_call)


def _waivers(options: dict[str, Any]) -> dict[str, str]:
    """Give the waivers, of a line and of a network: a device may have both."""
    if not options["waiver_file"]:
        return {}
    of_network: list[str] = []
    with suppress(ImportError):  # of the cipher, which a line does not need
        from smartmeter.conformance.network_checks import NETWORK_CHECKS

        of_network = [each.name for each in NETWORK_CHECKS]
    return read_waivers(*_text(options["waiver_file"]), of_network)


def _say(lines: Iterable[str]) -> int:
    """Print what a plan is; give the exit status."""
    for line in lines:
        click.echo(line)
    return 0


def _refuse_an_empty_run(chosen: Plan, names: Iterable[str]) -> None:
    """Refuse to run nothing: it would look like a pass."""
    if chosen.checks:
        return
    for each in all_checks():
        if each.name in names:
            needs = f", and needs --allow-{each.needs.value}" if each.needs else ""
            where = ", for a port modem:…" if each.group == CALL_GROUP else ""
            told = f"{each.name} would not be run: it is of the group {each.group}{where}{needs}"
            raise click.UsageError(told)
    raise click.UsageError("no check of these groups is for this port; see --plan")


def _bench(
    port: str, profile: Profile, permits: frozenset[Permit], seed: int, options: dict[str, Any]
) -> Bench:
    rules, identity = OPTICAL, 0
    if is_call(port):
        rules, identity = CALL, call_name(port).identity
    bench = Bench.on(_line(port, options), seed, rules, identity)
    bench.call_key = call_key() if is_call(port) else None
    bench.profile, bench.permits = profile, permits
    bench.reader = environment_password(READER_VARIABLE)
    bench.master = environment_password(MASTER_VARIABLE)
    bench.now_utc_s = lambda: wall_utc_us() // 1_000_000
    bench.tries, bench.failures = options["tries"], options["failures"]
    bench.examples = options["examples"]
    return bench


def _refuse_no_name(port: str) -> None:
    """Refuse what can be the name of no port; none is opened, as a device may be elsewhere."""
    if is_simulated(port):
        meter_named(port, wall_utc_us(), monotonic_us())
    else:
        tcp_address(call_name(port).port if is_call(port) else port)


def _line(port: str, options: dict[str, Any]) -> Line:
    """Open a port; a simulated meter is tested in virtual time, where silence costs nothing."""
    if is_simulated(port):
        now_us = monotonic_us()
        return SimulatedLine(meter_named(port, wall_utc_us(), now_us), now_us)

    def open_it() -> Port:
        return open_any_port(port, options["rts"], options["dtr"])

    return PortLine(open_it(), monotonic_us, open_it, hangs_up=is_call(port))


def _ask_for_permits(bench: Bench, permits: frozenset[Permit], given: str | None) -> dict[str, str]:
    """Find out whose device it is; where something is allowed, a person must type its number."""
    device = _identity(bench)
    serial = device.get("serial", "")
    for permit in sorted(permits, key=lambda each: each.value):
        if not serial:
            raise SmartMeterError(
                f"--allow-{permit.value}", "the device tells no serial number in ST-01"
            )
        if given is None and sys.stdin.isatty():
            asked = f"Type the serial number of the device to allow {permit.value}"
            typed = click.prompt(asked, err=True)
        else:
            typed = given or ""
        if typed.strip() != serial:
            raise SmartMeterError(
                f"--allow-{permit.value}",
                f"{typed!r} is not the serial number of the device on this port",
                "look at its nameplate; without a terminal give --yes-serial NUMBER",
            )
    if Permit.WRITES in permits:
        journal = FileJournal(journal_of(serial))
        journal.restore(bench)
        bench.journal = journal
    return device


def _identity(bench: Bench) -> dict[str, str]:
    try:
        bench.best_session()
        bench.load((0, 1))
    except (Deviation, NotApplicable):
        return {}
    return identity_of(bench.tables)


def _teller(results: list[Result], total: int, verbose: bool) -> Callable[[Result], None]:
    """Give what tells of a result, and puts it to the others."""

    def tell(result: Result) -> None:
        results.append(result)
        click.echo(f"{len(results):3d}/{total} {line_of(result)}")
        if result.verdict is Verdict.VIOLATION or (verbose and result.verdict.failed):
            for line in failure_lines(result):
                click.echo(f"        {line}")

    return tell


def _replay(
    bench: Bench, chosen: Plan, device: dict[str, str], port: str, options: dict[str, Any]
) -> int:
    """Run again what failed in a report, with its seed and its shortest session."""
    file = options["replay_file"]
    report = from_json(*_text(file))
    seed = report.run.get("seed", 1)
    failed = sum(result.verdict.failed for result in report.results)
    again = replace(chosen, seed=seed)
    results = replaying.replay(bench, report, again, _teller([], failed, True))
    if not results:
        click.echo(f"{file}: nothing failed there")
    status = _end(Report(tuple(results), device, {"seed": seed} | _how(port)), options)
    if results and all(result.verdict is Verdict.NOT_RUN for result in results):
        told = "nothing of what failed there was run"
        raise SmartMeterError(file, told, "run it where it failed: --check NAME")
    return status


def _compare(before: str, after: str) -> int:
    changes = difference(from_json(*_text(before)), from_json(*_text(after)))
    for change in changes:
        mark = "WORSE" if change.worse else "     "
        text = f": {change.text}" if change.text else ""
        click.echo(
            f"{mark} {change.check:5s} {change.before} -> {change.after}  {change.title}{text}"
        )
    click.echo(f"{len(changes)} checks ended otherwise")
    return 1 if any(change.worse for change in changes) else 0


def _check_reports(options: dict[str, Any]) -> None:
    """Find before the run, which may take hours, that a report could not be written."""
    for key in _REPORTS:
        if options[key]:
            path = Path(options[key])
            is_new = not os.path.lexists(path)
            with told_as(SettingsError, options[key], "choose another file"):
                path.open("a", encoding="utf-8").close()
                if is_new:  # there may be nothing to write into it
                    path.unlink()


def _end(report: Report, options: dict[str, Any]) -> int:
    """Write the reports, and say what came out, also where one cannot be written.

    Gives the exit status.
    """
    failed: list[SmartMeterError] = []
    for key, make in _REPORTS.items():
        if options.get(key):
            try:
                save_whole(Path(options[key]), make(report).encode())
            except OSError as error:
                told = str(error.strerror)
                failed.append(SmartMeterError(options[key], told, "choose another file"))
    click.echo(report.summary())
    if failed:
        raise failed[0]
    return 1 if report.failed else 0


def _text(file: str) -> tuple[str, str]:
    return read_text(Path(file), MAX_FILE_OCTETS), file
