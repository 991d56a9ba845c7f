"""The calendar of a drawn device (decade 5)."""

from __future__ import annotations

from datetime import date, time

from ansi_tables.identifiers import DAYS_OF_WEEK
from smartmeter.meter.profile import Values
from smartmeter.meter.profiles.chance import Chance


def calendar_tables(draw: Chance, tiers: int) -> dict[int, Values]:
    """Draw ST-51, ST-53 and ST-54: seasons, dates, daylight saving and switches of the tiers."""
    seasons, specials = draw.randint(1, 4), draw.randint(0, 4)
    schedules = draw.randint(1, 5)
    anchored = draw.yes()
    flags1 = ("TOU_SELF_READ_FLAG", "SEASON_SELF_READ_FLAG", "SEASON_DEMAND_RESET_FLAG")
    flags2 = ("SEPARATE_WEEKDAYS_FLAG", "SEPARATE_SUM_DEMANDS_FLAG", "CAP_TM_ZN_OFFSET_FLAG")
    chosen1 = draw.some((*flags1, "SEASON_CHNG_ARMED_FLAG")) + ("ANCHOR_DATE_FLAG",) * anchored
    chosen2 = draw.some((*flags2, "CAP_DST_AUTO_FLAG"))
    dates = [_date_entry(draw, seasons, specials) for _ in range(draw.randint(0, 6))]
    recurring = [_rule(draw, seasons, specials, anchored) for _ in range(draw.randint(0, 8))]
    switches = [s for n in range(schedules) for s in _switches(draw, n, tiers)]
    weekly = "SEPARATE_WEEKDAYS_FLAG" in chosen2
    names = DAYS_OF_WEEK if weekly else ("SATURDAY", "SUNDAY", "WEEKDAY")
    lengths = (len(dates) + draw.randint(0, 3), len(recurring) + draw.randint(0, 3))
    dimensions = {
        "TIME_FUNC_FLAG1": chosen1,
        "TIME_FUNC_FLAG2": chosen2,
        "CALENDAR_FUNC": {"NBR_SEASONS": seasons, "NBR_SPECIAL_SCHED": specials},
        "NBR_NON_RECURR_DATES": lengths[0],
        "NBR_RECURR_DATES": lengths[1],
        "NBR_TIER_SWITCHES": len(switches),
    }
    offsets = {
        "DST_TIME_EFF": time(draw.randint(0, 3), draw.choice((0, 30))),
        "DST_TIME_AMT": draw.choice((30, 60, 120)),
        "TIME_ZONE_OFFSET": draw.choice((-480, -300, -210, 0, 60, 330, 345)),
        "STD_TIME_EFF": time(draw.randint(2, 4), 0),
    }
    calendar = {
        "ANCHOR_DATE": date(2026, draw.randint(1, 12), draw.randint(1, 28)),
        "NON_RECURR_DATES": dates,
        "RECURR_DATES": recurring,
        "TIER_SWITCHES": switches,
        "DAILY_SCHEDULE_ID_MATRIX": [
            {
                **{f"{name}_SCHEDULE": draw.randrange(schedules) for name in names},
                "SPECIAL_SCHEDULE": [draw.randrange(schedules) for _ in range(specials)],
            }
            for _ in range(seasons)
        ],
    }
    return {51: dimensions, 53: offsets, 54: calendar}


def calendar_data(draw: Chance) -> list[int]:
    """Draw which tables beside its own a device with a calendar has."""
    return [n for n in (55, 56) if draw.yes(80)] + [24] * draw.yes(70)


def _action(draw: Chance, seasons: int, specials: int) -> Values:
    choices = [0, 1, 2, *range(3, 3 + seasons), *range(19, 19 + specials)]
    return {
        "CALENDAR_CTRL": draw.choice(choices),
        "DEMAND_RESET_FLAG": int(draw.yes(20)),
        "SELF_READ_FLAG": int(draw.yes(20)),
    }


def _date_entry(draw: Chance, seasons: int, specials: int) -> Values:
    day = date(2026, 1, 1).toordinal() + draw.randint(0, 1500)
    action = _action(draw, seasons, specials)
    return {"NON_RECURR_DATE": date.fromordinal(day), "CALENDAR_ACTION": action}


def _rule(draw: Chance, seasons: int, specials: int, anchored: bool) -> Values:
    month = draw.choice((*range(1, 13), 13, 13, 14, *[15] * anchored))
    rule = {"MONTH": month, "WEEKDAY": draw.randrange(8), "DAY": draw.randint(1, 28)}
    if month == 14:
        rule["WEEKDAY"] %= 7
    rule |= {"PERIOD": draw.randint(1, 63), "DELTA": draw.randint(0, 63), "OFFSET": 0}
    return {"RECURR_DATE": rule, "CALENDAR_ACTION": _action(draw, seasons, specials)}


def _switches(draw: Chance, schedule: int, tiers: int) -> list[Values]:
    minutes = {0, *(draw.randrange(1440) for _ in range(draw.randint(0, 5)))}
    return [
        {
            "TIER_SWITCH": {
                "NEW_TIER": draw.randrange(max(1, tiers)),
                "SUMMATION_SWITCH_FLAG": int(minute == 0 or draw.yes(70)),
                "DEMANDS_SWITCH_FLAG": int(minute == 0 or draw.yes(70)),
                "SWITCH_HOUR": minute // 60,
                "SWITCH_MIN": minute % 60,
            },
            "DAY_SCH_NUM": schedule,
        }
        for minute in sorted(minutes)
    ]
