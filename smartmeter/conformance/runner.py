"""Run checks on a device, one after the other, within a budget, and say how each ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from ansi_tables import TableError
from protocols.errors import PortError
from smartmeter.conformance.bench import CALL_GROUP, Bench, Check, Permit, all_checks
from smartmeter.conformance.transcript import Transcript
from smartmeter.conformance.verdicts import (
    Basis,
    Deviation,
    NotApplicable,
    Result,
    Unreachable,
    Verdict,
)


@dataclass(frozen=True)
class Plan:
    """Which checks run, in which order, for how long at most."""

    checks: tuple[Check, ...]
    seed: int = 1
    budget_s: float | None = None
    waivers: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Give how long the checks take at 9600 baud, without failures."""
        return sum(each.seconds for each in self.checks)

    def lines(self, permits: frozenset[Permit]) -> Iterator[str]:
        """Say what will be sent and for how long."""
        for each in self.checks:
            yield f"{each.name:5s} {each.group:10s} {each.seconds:4.0f} s  {each.title}"
        left_out = sum(each.needs not in (None, *permits) for each in all_checks())
        minutes, seconds = divmod(round(self.seconds), 60)
        yield f"{len(self.checks)} checks, about {minutes} min {seconds} s at 9600 baud"
        if left_out:
            allow = "--allow-writes, --allow-procedures or --allow-attacks"
            yield f"{left_out} checks are left out: they need {allow}"


def plan(
    permits: frozenset[Permit],
    groups: frozenset[str] = frozenset(),
    names: frozenset[str] = frozenset(),
    seed: int = 1,
    budget_s: float | None = None,
    waivers: Mapping[str, str] | None = None,
    in_a_call: bool = False,
) -> Plan:
    """Choose the checks that are allowed; ``groups`` and ``names`` empty mean all."""
    chosen = [
        each
        for each in all_checks()
        if (each.needs is None or each.needs in permits)
        and (in_a_call or each.group != CALL_GROUP)
        and (not groups or each.group in groups)
        and (not names or each.name in names)
    ]
    return Plan(tuple(chosen), seed, budget_s, waivers or {})


def run(bench: Bench, chosen: Plan, told: Callable[[Result], None] | None = None) -> list[Result]:
    """Run the plan; each result is told as it comes.

    A port that goes is a failure of the check that ran, and is opened anew for the next.
    """
    results: list[Result] = []
    begin_us = bench.tester.now_us()
    if chosen.budget_s is not None:
        bench.until_us = begin_us + int(chosen.budget_s * 1e6)
    reachable = True
    for each in chosen.checks:
        spent_s = (bench.tester.now_us() - begin_us) / 1e6
        if not reachable:
            result = _not_run(each, "the device does not answer any more")
        elif chosen.budget_s is not None and spent_s + each.seconds > chosen.budget_s:
            result = _not_run(each, "the budget is spent")
        else:
            result = run_check(bench, each, chosen)
            reachable = result.verdict is not Verdict.VIOLATION or _answers(bench)
        results.append(result)
        if told is not None:
            told(result)
    return results


def run_check(bench: Bench, each: Check, chosen: Plan) -> Result:
    """Run one check; a failure must repeat before it counts, for lines have noise."""
    result = _once(bench, each, chosen.seed)
    if result.verdict.failed and not result.steps and bench.tries > 1:
        again = [_once(bench, each, chosen.seed) for _ in range(bench.tries - 1)]
        failed = [other for other in again if other.verdict.failed]
        if len(failed) + 1 < bench.failures:
            text = f"failed once in {bench.tries}: {result.text}"
            result = replace(result, verdict=Verdict.ADVICE, text=text)
    return result.waived(chosen.waivers)


def _once(bench: Bench, each: Check, seed: int) -> Result:
    tester = bench.tester
    tester.transcript = Transcript()
    bench.rng = Random(f"{seed}.{each.name}")
    begin_us = tester.now_us()
    verdict, text = Verdict.PASSED, ""
    steps: tuple[str, ...] = ()
    try:
        each.act(bench)
    except Deviation as deviation:
        verdict, text = deviation.verdict(each.basis), str(deviation)
        steps = deviation.steps
    except NotApplicable as reason:
        verdict, text = Verdict.NOT_APPLICABLE, str(reason)
    except Unreachable as reason:
        verdict, text = Verdict.VIOLATION, str(reason)
    except PortError as gone:
        verdict, text = Verdict.VIOLATION, f"the port went away: {gone}"
        with suppress(PortError):
            tester.line.reopen()
    except TableError as error:
        verdict, text = Deviation(str(error)).verdict(Basis.ONE_SOURCE), str(error)
    return Result(
        each.name,
        each.group,
        each.title,
        each.basis,
        verdict,
        text,
        tester.transcript,
        (tester.now_us() - begin_us) / 1e6,
        steps,
    )


def _answers(bench: Bench) -> bool:
    bench.tester.transcript = Transcript()  # what the check left is its own
    try:
        bench.base()
    except (Unreachable, PortError):
        return False
    return True


def _not_run(each: Check, why: str) -> Result:
    return Result(each.name, each.group, each.title, each.basis, Verdict.NOT_RUN, why)
