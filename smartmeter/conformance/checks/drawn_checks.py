"""Drawn sessions: Hypothesis looks for one that the model does not allow, and shrinks it."""

from __future__ import annotations

from functools import partial

from smartmeter.conformance.bench import EXAMPLES, Bench, in_group
from smartmeter.conformance.model import Model, Step
from smartmeter.conformance.transcript import Transcript
from smartmeter.conformance.verdicts import Deviation, NotApplicable, Unreachable

check = partial(in_group, "session")
#: What a drawn session takes on a line of 9600 baud, roughly.
SECONDS_A_SESSION = 3.0


@check(
    "H01",
    "drawn sessions, with faults of the line, are answered as the model allows",
    seconds=EXAMPLES * SECONDS_A_SESSION,
)
def drawn_sessions(bench: Bench) -> None:
    """Needs Hypothesis.  A failure must repeat before it is shrunk."""
    try:
        from smartmeter.conformance.searching import search
    except ImportError:
        raise NotApplicable(
            'drawing sessions needs: pip install "smartmeter[conformance]"'
        ) from None
    bench.table(0)
    search(bench, lambda steps: attempt(bench, steps))


def attempt(bench: Bench, steps: tuple[Step, ...]) -> tuple[Deviation, Transcript] | None:
    """Run a session as often as a failure must repeat; give the failure, or None."""
    failure, failed = None, 0
    for run in range(bench.tries):
        bench.tester.transcript = Transcript()
        try:
            Model(bench).run(steps)
        except Unreachable as gone:
            failure, failed = Deviation(str(gone)), failed + 1
        except Deviation as deviation:
            failure, failed = deviation, failed + 1
        kept = bench.tester.transcript
        if failure is None:
            return None
        if failed >= bench.failures:
            return failure, kept
        if failed + bench.tries - run - 1 < bench.failures:
            return None
    return None
