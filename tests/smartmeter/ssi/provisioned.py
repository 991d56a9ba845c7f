"""A street that is provisioned, and what it reported."""

from typing import Any

from ansi_tables.ssi_tables import (
    Cause,
    SsiTable,
)
from tests.smartmeter.ssi.host import (
    GENERAL,
    Street,
    schedule,
    schedules,
)


def provisioned(*values: dict[str, Any], **tables: Any) -> Street:
    street = Street()
    street.run(10)
    assert set(street.provision(SCHEDULES=schedules(*values), **tables)) == {b"\0"}
    return street


def alarm_codes(street: Street) -> list[int]:
    return [alarm["CODE"] for alarm in street.host.parts(SsiTable.ALARM)]


def reported(street: Street, cause: Cause | None = None) -> list[Any]:
    return [r for r in street.host.reports if cause in (None, r.header["CAUSE"])]


def codes(street: Street) -> list[tuple[int, int]]:
    return [(one["SOURCE"], one["CODE"]) for one in street.host.parts(SsiTable.ALARM)]


def watching(**tables: Any) -> Street:
    street = Street()
    street.run(10)
    general = {**GENERAL, "STATUS_PERIOD_MS": 2000}
    disposition = {
        "DEFAULT": 0,
        "ENTRIES": [
            {"SOURCE": 1, "CODE": 47, "DISPOSITION": 2},
            {"SOURCE": 4, "CODE": 12, "DISPOSITION": 1},
        ],
    }
    what = {"GENERAL": general, "DISPOSITION": disposition, "SCHEDULES": schedules(schedule())}
    street.provision(**{**what, **tables})
    street.run(60)
    return street
