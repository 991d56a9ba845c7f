"""What is brought into Home Assistant's statistics: each meter's energy by hour, without a step.

The sums go on from what Home Assistant had before the first hour that is here: where the
readings began anew, on another board or after damage, it holds those of the readings before.
That is asked once, kept with the readings before anything is sent, and asked of hours that are
not sent, so that the same hours have the same sums however often they are.

What was sent is looked at before more is sent: where Home Assistant's database is new,
or from an older copy, everything that is here is sent once more.
"""

from __future__ import annotations

from decimal import Decimal

from smartmeter.gateway.readings import Readings
from smartmeter.gateway.sinks.home_assistant import hourly_statistics, statistic_metadata
from smartmeter.gateway.sinks.statistics_link import NEAR_S, NotStored, StatisticsLink

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
        late: NotStored | None = None
        for (esn, direction), first_s in changed.items():
            # Several sets may record it: one of them is the history.
            set_nbr = readings.energy_set(esn, direction)
            if set_nbr is not None:
                try:
                    await self._send((esn, set_nbr, direction), first_s)
                except NotStored as error:
                    late = error  # which is no reason to keep the others back
        if late is not None:
            raise late
        if not fresh:
            return None
        readings.move(SINK, {"intervals": fresh[-1]["number"]})
        return len(changed)

    async def _send(self, energy: Energy, first_s: int, lost: bool = False) -> None:
        """Send the hours from one on, or all that are here where Home Assistant ``lost`` some."""
        readings, (esn, _, direction) = self._readings, energy
        from_s, before = self._sums.get(energy, (0, Decimal(0)))
        # Where a gap was filled, and the first time, too.
        whole = lost or first_s < from_s or not from_s
        rows = readings.hourly(*energy, 0 if whole else from_s)
        if not rows:
            return
        metadata = statistic_metadata(esn, direction)
        begun = {"sent": 1}
        if whole:
            forgotten = readings.forgotten(*energy)
            first = [Decimal(wh) for hour_s, wh in rows if hour_s == rows[0]["hour_s"]]
            begun = await self._begin(energy, rows[0]["hour_s"], sum(first), forgotten, lost)
            before = begun["wh"] + forgotten
            if not begun["sent"]:
                first_s = 0
        entries = hourly_statistics(rows, before)
        sent = sorted({hour_s for hour_s, _ in rows if hour_s < first_s})
        if sent:
            # The hour itself: before it there may be none, or the same sum where nothing was used.
            had_wh, _ = await self._link.sum_at_end(metadata["statistic_id"], sent[-1], sent[-1])
            if had_wh != entries[len(sent) - 1]["sum"]:
                await self._send(energy, 0, lost=True)
                return
        await self._link.import_statistics(metadata, entries[len(sent) :])
        if not begun["sent"]:
            readings.move(_place(energy), begun | {"sent": 1})
        # From the hour before the last one on: what was sent before the last is looked at next.
        from_s = rows[-1]["hour_s"]
        from_s = max((hour_s for hour_s, _ in rows if hour_s < from_s), default=from_s)
        earlier = (Decimal(wh) for hour_s, wh in rows if hour_s < from_s)
        self._sums[energy] = from_s, sum(earlier, before)

    async def _begin(
        self,
        energy: Energy,
        hour_s: int,
        first_wh: Decimal | int,
        forgotten_wh: Decimal,
        lost: bool,
    ) -> dict[str, int]:
        """Give what is before the first hour here, ``wh``, and if all went out with it.

        It is asked again where an earlier hour has come since, or Home Assistant has ``lost`` what
        it had: not for an hour that is much earlier, which a clock that was wrong has made, and,
        but for a loss, not where hours before it were here and are forgotten, which are in the
        sums that would be found.  Until all hours were ``sent`` by it, some there may have sums
        that began elsewhere.
        """
        esn, _, direction = energy
        kept = self._readings.position(_place(energy))
        asked_s = kept.get("hour_s", hour_s + 1)
        is_new = lost or (hour_s < asked_s and not forgotten_wh)
        if hour_s <= asked_s - NEAR_S or not is_new:
            return kept or {"wh": 0, "sent": 1}
        statistic_id = statistic_metadata(esn, direction)["statistic_id"]
        found_wh = await self._link.sum_before(statistic_id, hour_s)
        if self._readings.begin_s(*energy, hour_s) > hour_s:
            # The readings before may have the hour's beginning, or all of it.
            # From where the history here began so far on all is of here, but what was found then.
            until_s = kept.get("hour_s", hour_s + NEAR_S)
            sum_wh, goes_on = await self._link.sum_at_end(statistic_id, hour_s, until_s)
            goes_on = goes_on or lost or kept.get("wh", 0) > (sum_wh or 0)
            ours_wh = round(first_wh) if goes_on else 0
            found_wh = max(found_wh, (sum_wh or 0) - ours_wh)
        found = {"hour_s": hour_s, "wh": found_wh - round(forgotten_wh), "sent": 0}
        self._readings.move(_place(energy), found)
        return found


def _place(energy: Energy) -> str:
    """Give the name under which the readings keep where a history begins."""
    return " ".join((SINK, *map(str, energy)))
