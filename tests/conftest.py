"""Rules for the whole test suite: under REQUIRE_ALL=1 a skip is a failure."""

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

#: What waits for processes more than it computes, the longest first: begun first, so that the
#: other workers have the processor meanwhile, and nobody waits for it alone at the end.
WAITING = (
    "tests/smartmeter/test_kill.py",
    "tests/smartmeter/gateway/test_bad_month.py",
    "tests/smartmeter/gateway/test_upgrade.py",
    "tests/smartmeter/cli/test_demo.py",
    "tests/smartmeter/tms/web/",
    "tests/smartmeter/gateway/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that wait go first."""
    places = {prefix: place for place, prefix in enumerate(WAITING)}

    def place(item: pytest.Item) -> int:
        found = (place for prefix, place in places.items() if item.nodeid.startswith(prefix))
        return next(found, len(WAITING))

    items.sort(key=place)


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
