"""Run again what failed in a report: the same check, the same seed, the same shortest session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smartmeter.base.errors import SettingsError
from smartmeter.conformance.bench import Bench, Check, all_checks
from smartmeter.conformance.checks.drawn_checks import attempt
from smartmeter.conformance.model import parse
from smartmeter.conformance.report import Report
from smartmeter.conformance.runner import Plan, run
from smartmeter.conformance.verdicts import Deviation, Result, Verdict


def replay(bench: Bench, report: Report, how: Plan, told: Callable[[Result], None]) -> list[Result]:
    """Give the results of the checks that failed; each needs the permit that it needed then.

    ``how`` gives seed, budget and waivers.  A check of a network, which is none of
    a line, is not run.
    """
    known = {each.name: each for each in all_checks()}
    chosen: list[Check] = []
    unknown: list[Result] = []
    for result in report.results:
        each = known.get(result.check)
        if not result.verdict.failed:
            continue
        if each is None:
            head = (result.check, result.group, result.title, result.basis)
            unknown.append(Result(*head, Verdict.NOT_RUN, "it is no check of a line"))
            continue
        if each.needs is not None and each.needs not in bench.permits:
            raise SettingsError(
                f"replay of {each.name}",
                "it is not harmless",
                f"allow it: --allow-{each.needs.value}",
            )
        chosen.append(_again(each, result) if result.steps else each)
    for result in unknown:
        told(result)
    return unknown + run(bench, replace(how, checks=tuple(chosen)), told)


def _again(each: Check, result: Result) -> Check:
    """Give the check of a drawn session as the one session that failed."""

    def act(bench: Bench) -> None:
        try:
            steps = tuple(parse(text, bench.password) for text in result.steps)
        except ValueError as error:
            raise SettingsError("replay", str(error), "give a report as it was written") from error
        if (failure := attempt(bench, steps)) is not None:
            deviation, bench.tester.transcript = failure
            raise Deviation(str(deviation), deviation.basis, result.steps)

    return Check(each.name, each.group, each.title, each.basis, act, each.needs, each.seconds)
