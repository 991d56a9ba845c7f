"""The search for a session that fails, and its shortest form: Hypothesis drives, we look."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from smartmeter.conformance.bench import Bench
from smartmeter.conformance.model import Step
from smartmeter.conformance.strategies import sessions
from smartmeter.conformance.transcript import Transcript
from smartmeter.conformance.verdicts import Deviation

Failure = tuple[Deviation, Transcript]
#: Shrinking stops after so many sessions.
MAX_SESSIONS = 400


def search(bench: Bench, attempt: Callable[[tuple[Step, ...]], Failure | None]) -> None:
    """Draw sessions until one fails; raise its shortest form as Deviation with its steps."""
    known: dict[tuple[Step, ...], Failure | None] = {}
    shortest: list[tuple[Step, ...]] = []

    @seed(bench.rng.getrandbits(32))
    @settings(
        max_examples=bench.examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    @given(sessions(tuple(bench.tables), bench.logon(), bench.reader))
    def holds(steps: tuple[Step, ...]) -> None:
        if steps not in known:
            spent = len(known) >= MAX_SESSIONS or bench.spent()
            known[steps] = None if spent else attempt(steps)
        failure = known[steps]
        if failure is not None:
            shortest[:] = [steps]
            raise failure[0]

    try:
        holds()
    except Deviation as deviation:
        steps = shortest[0]
        failure = known[steps]
        assert failure is not None
        bench.tester.transcript = failure[1]
        texts = tuple(step.text() for step in steps)
        raise Deviation(str(failure[0]), failure[0].basis, texts) from deviation
