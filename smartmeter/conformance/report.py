"""A run as JSON, as text, as JUnit XML, and the difference of two runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from smartmeter.base.errors import SettingsError
from smartmeter.conformance.transcript import from_json as transcript_from_json
from smartmeter.conformance.verdicts import Basis, Result, Verdict

FORMAT = "smartmeter-conformance/1"
MAX_REPORT_CHARACTERS = 64 << 20
_MARKS = {
    Verdict.PASSED: "ok",
    Verdict.VIOLATION: "VIOLATION",
    Verdict.DOUBTFUL: "doubtful",
    Verdict.ADVICE: "advice",
    Verdict.WAIVED: "waived",
    Verdict.NOT_APPLICABLE: "-",
    Verdict.NOT_RUN: "not run",
}


@dataclass(frozen=True)
class Report:
    """What was found: ``device`` says whose it is, ``run`` how it was looked at."""

    results: tuple[Result, ...]
    device: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)

    def count(self, verdict: Verdict) -> int:
        """Give how many checks ended so."""
        return sum(result.verdict is verdict for result in self.results)

    @property
    def failed(self) -> bool:
        """Tell whether there is a violation: what the exit status says."""
        return self.count(Verdict.VIOLATION) > 0

    def to_json(self) -> str:
        """Give the report as JSON, to keep, compare and replay."""
        body = {
            "format": FORMAT,
            "device": dict(self.device),
            "run": dict(self.run),
            "summary": {verdict.value: self.count(verdict) for verdict in Verdict},
            "results": [result.to_json() for result in self.results],
        }
        return json.dumps(body, indent=1) + "\n"

    def summary(self) -> str:
        """Give one line."""
        shown = [f"{self.count(v)} {v.value}" for v in Verdict if self.count(v)]
        return ", ".join(shown) or "nothing was run"


def from_json(text: str, name: str) -> Report:
    """Read a report; SettingsError says what is wrong with the file."""
    try:
        if len(text) > MAX_REPORT_CHARACTERS:
            raise ValueError("too long")
        body = json.loads(text)
        if body["format"] != FORMAT:
            raise ValueError(f"format is not {FORMAT}")
        results = tuple(_result(each) for each in body["results"])
        return Report(results, dict(body["device"]), dict(body["run"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        why = f": {error!s:.80}" if isinstance(error, ValueError) else ""
        raise SettingsError(
            name, f"is no report of ours{why}", "make one: conformance PORT --json FILE"
        ) from error


def _result(each: Mapping[str, Any]) -> Result:
    return Result(
        str(each["check"]),
        str(each["group"]),
        str(each["title"]),
        Basis(each["basis"]),
        Verdict(each["verdict"]),
        str(each["text"]),
        transcript_from_json(each["transcript"]),
        float(each["seconds"]),
        tuple(str(step) for step in each["steps"]),
    )


def line_of(result: Result) -> str:
    """Give one line for a check that has ended."""
    head = f"{_MARKS[result.verdict]:9s} {result.check:5s} {result.title}"
    return f"{head}: {result.text}" if result.text else head


def failure_lines(result: Result) -> Iterator[str]:
    """Give all that is known of a failure: the rule, what it rests on, and the octets."""
    yield f"{result.check}  {result.title}"
    yield f"  {result.verdict.value}, rests on {result.basis.value}: {result.text}"
    for step in result.steps:
        yield f"  step {step}"
    for line in result.transcript.lines():
        yield f"  {line}"


def to_junit(report: Report) -> str:
    """Give JUnit XML: violations are failures; doubts and advice are told in system-out."""
    suites = ElementTree.Element("testsuites", name="smartmeter conformance")
    groups = dict.fromkeys(result.group for result in report.results)
    for group in groups:
        results = [result for result in report.results if result.group == group]
        counts = Counter(result.verdict for result in results)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=group,
            tests=str(len(results)),
            failures=str(counts[Verdict.VIOLATION]),
            skipped=str(counts[Verdict.NOT_APPLICABLE] + counts[Verdict.NOT_RUN]),
            time=f"{sum(result.seconds for result in results):.3f}",
        )
        for result in results:
            _case(suite, result)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, result: Result) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"conformance.{result.group}",
        name=f"{result.check} {result.title}",
        time=f"{result.seconds:.3f}",
    )
    text = _xml_text(result.text)
    if result.verdict is Verdict.VIOLATION:
        failure = ElementTree.SubElement(case, "failure", message=text, type="violation")
        failure.text = "\n".join(map(_xml_text, failure_lines(result)))
    elif result.verdict in (Verdict.NOT_APPLICABLE, Verdict.NOT_RUN):
        ElementTree.SubElement(case, "skipped", message=text)
    elif result.verdict is not Verdict.PASSED:
        out = ElementTree.SubElement(case, "system-out")
        out.text = "\n".join(map(_xml_text, failure_lines(result)))


def _xml_text(text: str) -> str:
    """Give text without the characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


@dataclass(frozen=True)
class Change:
    """A check that ended otherwise in the second report."""

    check: str
    title: str
    before: str
    after: str
    text: str

    @property
    def worse(self) -> bool:
        """Tell whether a violation is new."""
        return self.after == Verdict.VIOLATION.value


def difference(before: Report, after: Report) -> list[Change]:
    """Give what changed between two runs, such as two firmwares."""
    earlier, later = _by_check(before.results), _by_check(after.results)
    changes = []
    for name in sorted(earlier.keys() | later.keys()):
        old, new = earlier.get(name), later.get(name)
        was = old.verdict.value if old else "not there"
        now = new.verdict.value if new else "not there"
        if was != now:
            shown = new or old
            assert shown is not None
            changes.append(Change(name, shown.title, was, now, new.text if new else ""))
    return changes


def _by_check(results: Sequence[Result]) -> dict[str, Result]:
    return {result.check: result for result in results}
