"""What each table of the meter shows now, and what identifies it from the factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ansi_tables import Context
from ansi_tables.procedures import INITIATE
from smartmeter.base.clock import US_PER_S
from smartmeter.meter.profile import USER_TABLES, DeviceProfile, Fragment
from smartmeter.meter.registers import clamped, wrapped
from smartmeter.meter.remaining import self_read_days, tier_minutes
from smartmeter.meter.table_values import encoded

if TYPE_CHECKING:
    from smartmeter.meter.meter import Meter

MANUFACTURER = "SMOP"
#: A table's value, or its octets.
Shown = Mapping[str, Any] | bytes


def identification(profile: DeviceProfile, context: Context, serial: str) -> dict[int, bytes]:
    """Give ST-01, ST-02, ST-05 and ST-06 as they leave the factory."""
    digits = "".join(c for c in serial if c.isdigit())
    bcd = bool(context.fmt.id_form)

    def identifier(width: int) -> str:
        return digits[-width:].rjust(width, "0") if bcd else serial

    manufacturer = {
        "MANUFACTURER": MANUFACTURER,
        "ED_MODEL": profile.model,
        "HW_VERSION_NUMBER": 1,
        "FW_REVISION_NUMBER": 1,
        "MFG_SERIAL_NUMBER": identifier(16),
    }
    values: dict[int, Mapping[str, Any]] = {
        1: manufacturer,
        2: {"ELECTRIC_DEVICE": _nameplate(profile)},
        5: {"IDENTIFICATION": identifier(20)},
        6: {"DEVICE_ID": identifier(20)},
    }
    return {number: encoded(number, value, context) for number, value in values.items()}


#: Form, elements code, class and test amperes of a service (ST-02).
_FORMS = {
    "2W1P": ("1S", 1, 3, "100", "15"),
    "3W1P": ("2S", 1, 5, "200", "30"),
    "4WY": ("9S", 4, 9, "20", "2.5"),
    "3WD": ("5S", 2, 5, "20", "2.5"),
}


def _nameplate(profile: DeviceProfile) -> Mapping[str, Any]:
    form, elements, volts, amperes, test = _FORMS[profile.service]
    return {
        "E_KH": "1.0",
        "E_KT": "1.0",
        "E_INPUT_SCALAR": 1,
        "E_ED_CONFIG": form,
        "E_ELEMENTS": {"E_FREQ": 4, "E_NO_OF_ELEMENTS": elements, "E_BASE_TYPE": 1},
        "E_VOLTS": {"E_ELEMENTS_VOLTS": volts, "E_ED_SUPPLY_VOLTS": 0},
        "E_AMPS": {"E_CLASS_MAX_AMPS": amperes, "E_TA": test},
    }


def current(meter: Meter, number: int, now_us: int) -> Shown | None:
    """Give the value of a table that changes by itself, or None for one that does not."""
    show = _SHOWN.get(number)
    return None if show is None else show(meter, now_us)


def _status(meter: Meter, now_us: int) -> Shown:
    test = meter.metering.test_mode
    return {
        "ED_MODE": {
            "METERING_FLAG": int(not test),
            "TEST_MODE_FLAG": int(test),
            "METER_SHOP_MODE_FLAG": 0,
            "FACTORY_FLAG": 0,
        },
        "ED_STD_STATUS1": meter.standard_status,
        "ED_STD_STATUS2": 0,
        "ED_MFG_STATUS": meter.manufacturer_status,
    }


def _registers(meter: Meter, now_us: int) -> Shown:
    meter.metering.credit()
    return meter.metering.registers.table(meter.clock)


def _kept(number: int, which: str) -> Callable[[Meter, int], Shown]:
    def show(meter: Meter, now_us: int) -> Shown:
        """Give what was kept, or zeros before the first time."""
        kept: bytes | None = getattr(meter.metering.billing, which)
        return kept if kept is not None else encoded(number, {}, meter.program.context)

    return show


def _present(meter: Meter, now_us: int) -> Shown:
    metering, program = meter.metering, meter.program
    local_us = metering.measured_us + meter.clock.zone_s * US_PER_S
    demands = []
    for number in program.present_demands:
        value, left_s = 0, 0
        if number is not None:
            demand = metering.demands[number]
            step_us = demand.step_min * 60 * US_PER_S
            value = demand.present(metering.totals[number])
            left_s = (step_us - local_us % step_us) // US_PER_S
        demands.append(
            {"TIME_REMAINING": _time(left_s), "DEMAND_VALUE": clamped(value, program.dial2)}
        )
    values = []
    for number in program.present_values:
        value = 0 if number is None else metering.value_now(number)
        energy = number is not None and program.sources[number].is_energy
        dial = program.dial1
        values.append(wrapped(value, dial) if energy else clamped(value, dial))
    return {"PRESENT_DEMAND": demands, "PRESENT_VALUE": values}


def _time(seconds: int) -> Any:
    """Give a span below a day as a TIME."""
    return (datetime.min + timedelta(seconds=min(seconds, 86_399))).time()


def _clock(meter: Meter, now_us: int) -> Mapping[str, Any]:
    return meter.clock.table(meter.clock.utc_s(now_us))


def _clock_state(meter: Meter, now_us: int) -> Mapping[str, Any]:
    state = meter.metering.time.state
    status = {
        "CURR_TIER": state.summation_tier,
        "CURR_SUMM_TIER": state.summation_tier,
        "CURR_DEMAND_TIER": state.demand_tier,
        "TIER_DRIVE": 0,
        "SPECIAL_SCHD_ACTIVE": state.special,
        "SEASON": state.season,
    }
    return {**_clock(meter, now_us), "STATUS": status}


def _precise_clock_state(meter: Meter, now_us: int) -> Shown:
    moment = meter.clock.shown(meter.clock.utc_us(now_us))
    return {**_clock_state(meter, now_us), "CLOCK_CALENDAR": moment}


def _remaining(meter: Meter, now_us: int) -> Shown:
    now = meter.program, meter.clock, meter.metering.time, meter.clock.utc_s(now_us)
    (summation, demand), days = tier_minutes(*now), self_read_days(*now)
    return {
        "SUMM_TIER_TIME_REMAIN": summation,
        "DEMAND_TIER_TIME_REMAIN": demand,
        "TIER_TIME_REMAIN": summation,
        "SELF_READ_DAYS_REMAIN": days,
    }


def _profile_status(meter: Meter, now_us: int) -> Shown:
    metering = meter.metering
    return {
        f"LP_STATUS_SET{r.set.number}": r.status(metering.recorders.recording, metering.test_mode)
        for r in metering.recorders
    }


def _profile(number: int) -> Callable[[Meter, int], Shown]:
    def show(meter: Meter, now_us: int) -> Shown:
        return next(r for r in meter.metering.recorders if r.set.number == number).image()

    return show


def _user_defined(number: int) -> Callable[[Meter, int], Shown]:
    """Give fragments of other tables back to back, as the profile chooses them."""

    def show(meter: Meter, now_us: int) -> Shown:
        fragments = meter.profile.user_tables[number]
        return b"".join(_fragment(meter, fragment, now_us) for fragment in fragments)

    return show


def _fragment(meter: Meter, fragment: Fragment, now_us: int) -> bytes:
    """Give the octets of a fragment; none of an element that was programmed away."""
    image = meter.table(fragment.table, now_us)
    if not fragment.path:
        return image
    layout = meter.layout(fragment.table)
    if not layout.has(fragment.path):
        return b""
    offset, width = layout.field(fragment.path)
    return image[offset : offset + width]


def _pending(meter: Meter, now_us: int) -> Shown:
    return meter.pending.table(meter.program.formats.std_tbls_write - {INITIATE})


_SHOWN: Mapping[int, Callable[[Meter, int], Shown]] = {
    3: _status,
    4: _pending,
    8: lambda meter, now_us: meter.response,
    23: _registers,
    24: _kept(24, "previous_season"),
    25: _kept(25, "previous_reset"),
    26: lambda meter, now_us: meter.metering.billing.self_read_table(),
    28: _present,
    52: _clock,
    55: _clock_state,
    56: _remaining,
    57: _precise_clock_state,
    63: _profile_status,
    **{63 + number: _profile(number) for number in (1, 2, 3, 4)},
    **{number: _user_defined(number) for number in USER_TABLES},
    74: lambda meter, now_us: meter.logs.history.image(),
    76: lambda meter, now_us: meter.logs.event.image(),
}
