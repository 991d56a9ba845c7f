"""Rules for the whole test suite: under REQUIRE_ALL=1 a skip is a failure."""

import itertools
import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, so that a change is refused for its own faults only; the long
# campaigns draw others (``EXAMPLES=fresh``).
settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "fresh", settings.get_profile("house"), derandomize=False, max_examples=300, print_blob=True
)
settings.load_profile(os.environ.get("EXAMPLES", "house"))

#: What waits for processes more than it computes, the longest first.  Half of the workers begin
#: with these, so that the others have the processor meanwhile, and nobody waits for one alone at
#: the end.
WAITING = (
    "tests/smartmeter/gateway/test_upgrade.py",
    "tests/smartmeter/cli/test_demo.py",
    "tests/smartmeter/gateway/test_bad_month.py",
    "tests/smartmeter/test_kill.py",
    "tests/smartmeter/tms/web/",
    "tests/smartmeter/gateway/",
    "tests/smartmeter/conformance/test_plugin.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lay the tests so that the equal parts in which workers get them begin with what waits."""

    def place(item: pytest.Item) -> int:
        found = (n for n, prefix in enumerate(WAITING) if item.nodeid.startswith(prefix))
        return next(found, len(WAITING))

    files: dict[str, list[pytest.Item]] = {}
    rest: list[pytest.Item] = []
    for item in sorted(items, key=place):
        (rest if place(item) == len(WAITING) else files.setdefault(str(item.path), [])).append(item)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, tests in enumerate(files.values()):
        shares[number % max(1, workers // 2)] += tests
    for share in shares:
        missing = max(0, len(items) // workers - len(share))
        share += rest[:missing]
        del rest[:missing]
    items[:] = [*itertools.chain(*shares), *rest]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, "pytest.TestReport", None]:
    """Turn a skip into a failure where nothing may be skipped."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("REQUIRE_ALL") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1, but skipped: {report.longrepr}"
