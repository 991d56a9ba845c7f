"""Named time zones of a template, on systems with and without a database of them."""

import sys
import zoneinfo
from collections.abc import Iterator

import pytest

from smartmeter.base.errors import SettingsError
from smartmeter.tms.template import zone_table


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a system without /usr/share/zoneinfo and without the package tzdata."""
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()
    zone_table.cache_clear()
    yield
    zoneinfo.reset_tzpath()
    zone_table.cache_clear()


def test_utc_needs_no_database_and_a_name_that_is_not_found_is_told(no_database: None) -> None:
    assert zone_table("UTC") == {"OFFSET_S": 0, "TRANSITIONS": []}
    with pytest.raises(SettingsError, match=r"no time zone 'Europe/Berlin'; .* tzdata"):
        zone_table("Europe/Berlin")


def test_a_name_that_no_zone_has_is_told_with_one_that_some_has() -> None:
    with pytest.raises(SettingsError, match="use a name like"):
        zone_table("Mars/Olympus")


def test_a_zone_tells_each_of_its_changes() -> None:
    berlin = zone_table("Europe/Berlin")
    assert berlin["OFFSET_S"] == 3600
    # 2016-03-27 and 2016-10-30, 01:00 UTC: what the European Union ordered.
    assert berlin["TRANSITIONS"][:2] == [
        {"TIME": 1_459_040_400, "OFFSET_S": 7200},
        {"TIME": 1_477_789_200, "OFFSET_S": 3600},
    ]
