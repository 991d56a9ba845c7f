"""What is brought into Home Assistant's statistics: each meter's energy by hour, without a step.

The sums go on from what Home Assistant had before the first hour that is here: where the
readings began anew, on another board or after damage, it holds those of the readings before.
That is asked once, kept with the readings before anything is sent, and asked of hours that are
not sent, so that the same hours have the same sums however often they are.
"""

from __future__ import annotations

from decimal import Decimal

from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.home_assistant import hourly_statistics, statistic_metadata
from smartmeter.gateway.sinks.statistics_link import NEAR_S, StatisticsLink

SINK = "home_assistant"
DIRECTIONS = ("delivered", "received")

#: A meter, one of its load-profile sets, and a direction.
Energy = tuple[str, int, str]


class Statistics:
    """Sends every hour from the first one on that new intervals have changed."""

    def __init__(self, link: StatisticsLink, readings: Readings) -> None:
        self._link, self._readings = link, readings
        #: The energy of all intervals that ended up to an instant.
        self._sums: dict[Energy, tuple[int, Decimal]] = {}

    async def step(self) -> int | None:
        """Send what is new; give how many histories, None for nothing new.

        SinkRefused and StorageError.
        """
        readings = self._readings
        position = readings.position(SINK)
        fresh = readings.after("intervals", position.get("intervals", 0))
        changed: dict[tuple[str, str], int] = {}
        for row in fresh:
            if row["unit"] == "Wh" and row["direction"] in DIRECTIONS and row["end_s"]:
                key = (row["esn"], row["direction"])
                hour_s = (row["end_s"] - 1) // 3600 * 3600
                changed[key] = min(hour_s, changed.get(key, hour_s))
        for (esn, direction), first_s in changed.items():
            # Several sets may record it: one of them is the history.
            set_nbr = readings.energy_set(esn, direction)
            if set_nbr is not None:
                await self._send((esn, set_nbr, direction), first_s)
        if not fresh:
            return None
        readings.move(SINK, {"intervals": fresh[-1]["number"]})
        return len(changed)

    async def _send(self, energy: Energy, first_s: int) -> None:
        readings, (esn, _, direction) = self._readings, energy
        from_s, before = self._sums.get(energy, (0, Decimal(0)))
        whole = first_s < from_s or not from_s  # a gap was filled, or it is the first time
        rows = readings.hourly(*energy, 0 if whole else from_s)
        if not rows:
            return
        metadata = statistic_metadata(esn, direction)
        begun: dict[str, int] = {}
        if whole:
            forgotten = readings.forgotten(*energy)
            first = [Decimal(wh) for hour_s, wh in rows if hour_s == rows[0]["hour_s"]]
            begun = await self._begin(energy, rows[0]["hour_s"], sum(first), bool(forgotten))
            before = begun["wh"] + forgotten
            if not begun["sent"]:
                first_s = 0
        await self._link.import_statistics(metadata, hourly_statistics(rows, first_s, before))
        if whole and not begun["sent"]:
            readings.move(_place(energy), begun | {"sent": 1})
        last_s = rows[-1]["hour_s"]
        earlier = (Decimal(row["value"]) for row in rows if row["hour_s"] < last_s)
        self._sums[energy] = last_s, sum(earlier, before)

    async def _begin(
        self, energy: Energy, hour_s: int, first_wh: Decimal | int, has_earlier: bool
    ) -> dict[str, int]:
        """Give the sum ``wh`` from which the first hour here goes on, and if all went out with it.

        It is asked again where an earlier hour has come since: not for one that is much earlier,
        which a clock that was wrong has made, and not where hours before it were here and are
        forgotten (``has_earlier``), which are in the sums that would be found.  Until all hours
        were ``sent`` by it, some there may have sums that began elsewhere.
        """
        esn, _, direction = energy
        kept = self._readings.position(_place(energy))
        asked_s = kept.get("hour_s", hour_s + 1)
        if has_earlier or not asked_s - NEAR_S < hour_s < asked_s:
            return kept or {"wh": 0, "sent": 1}
        statistic_id = statistic_metadata(esn, direction)["statistic_id"]
        found_wh = await self._link.sum_before(statistic_id, hour_s)
        if self._readings.begin_s(*energy, hour_s) > hour_s:
            # The readings before may have the hour's beginning, or all of it.
            # From where the history here began so far on all is of here, but what was found then.
            until_s = kept.get("hour_s", hour_s + NEAR_S)
            sum_wh, goes_on = await self._link.sum_at_end(statistic_id, hour_s, until_s)
            goes_on = goes_on or kept.get("wh", 0) > (sum_wh or 0)
            ours_wh = round(first_wh) if goes_on else 0
            found_wh = max(found_wh, (sum_wh or 0) - ours_wh)
        found = {"hour_s": hour_s, "wh": found_wh, "sent": 0}
        self._readings.move(_place(energy), found)
        return found


def _place(energy: Energy) -> str:
    """Give the name under which the readings keep where a history begins."""
    return " ".join((SINK, *map(str, energy)))
