"""A kind of device as data: formats, sources, dimensions, tables, and how its lists run.

A profile says of each table only what matters (``table_values.merged``); the
factory makes from it the images of all configuration tables.  The profiles
themselves are in ``smartmeter.meter.profiles``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ansi_tables import Context, DeviceFormat, Record, layout_for
from ansi_tables.formats import NI_SIZES
from smartmeter.meter.access import factory_rules, security_values
from smartmeter.meter.quantities import Unit
from smartmeter.meter.table_values import encoded

Values = Mapping[str, Any]

#: Tables that every device has.
ALWAYS = (0, 1, 2, 3, 5, 6, 7, 8)
#: Actual tables that tell how many octets others take: the member, and those others.
SIZES = {51: ("CALENDAR_TBL_SIZE", (54,)), 61: ("LP_MEMORY_LEN", (64, 65, 66, 67))}
#: Actual tables whose layouts other tables need; the dimension table is the number before.
ACTUAL = (11, 21, 31, 41, 51, 61, 71, 81)
#: Tables that the meter computes, so that the factory makes no image of them.
COMPUTED = frozenset((3, 4, 7, 8, 23, 24, 25, 26, 28, 42, 45, 52, 55, 56, 63, 64, 65, 66, 67))
COMPUTED |= {57, 74, 76}
#: User-defined tables: fragments of others.  How ST-80 to ST-83 choose them is not public.
USER_TABLES = range(84, 90)
COMPUTED |= frozenset(USER_TABLES)
#: Passwords and roles: every device with ST-41 has them, and who is master may write them.
SECURITY = (42, 43, 44)
#: Keys, where ST-41 counts some.
KEYS = 45
#: Members in one octet of a SET.
MEMBERS_AN_OCTET = 8


@dataclass(frozen=True)
class Formats:
    """The formats of ST-00, by code."""

    data_order: int = 0
    char_format: int = 1
    tm_format: int = 2
    id_form: int = 0
    int_format: int = 0
    ni_format1: int = 10
    ni_format2: int = 8
    std_version_no: int = 1
    data_access_method: int = 3


@dataclass(frozen=True)
class SourceProfile:
    """One source of ST-16, with its entries of ST-12 to ST-15.

    ``demand`` is (minutes of a subinterval, subintervals); ``constants`` the
    members of an electric record; ``applied`` tells that the host need not apply them.
    """

    unit: Unit
    demand: tuple[int, int] | None = None
    data_id: bytes | None = None
    constants: Values | None = None
    applied: bool = True


@dataclass(frozen=True)
class ListStyle:
    """How a list runs: newest first, first in first out.  Overflow is in the x1 tables."""

    descending: bool = False
    fifo: bool = False


@dataclass(frozen=True)
class Fragment:
    """A part of a user-defined table: an element of another table by its path, or all of it."""

    table: int
    path: str = ""


@dataclass(frozen=True, eq=False)
class DeviceProfile:
    """One kind of device.

    ``tables`` holds partial values of actual (x1) and control tables; ``data``
    lists the computed tables it offers; ``limits`` what its dimension (x0)
    tables allow beyond the actual ones.  ``clock`` names the bits of
    ST-52.TIME_DATE_QUAL that are set at the factory.  ``spare_octets`` lengthen
    the sets of standard tables and procedures, ``mfg_octets`` are the (empty) sets
    of the manufacturer's; the actual tables in ``without_limits`` have no
    dimension table, so that they are fixed.  ``user_tables`` are the fragments of
    ST-84 to ST-89.  A demand over ``overload_w`` (W, var or VA; 0 for no limit) is
    an overload.
    """

    name: str
    title: str
    model: str
    formats: Formats
    sources: tuple[SourceProfile, ...]
    tables: Mapping[int, Values]
    data: tuple[int, ...]
    procedures: tuple[int, ...]
    writable: tuple[int, ...]
    events: tuple[int, ...]
    limits: Mapping[int, Values] = field(default_factory=dict)
    lists: Mapping[str, ListStyle] = field(default_factory=dict)
    clock: tuple[str, ...] = ("GMT_FLAG",)
    service: str = "3W1P"
    load: str = "house"
    device_class: bytes = b"SMOP"
    nbr_pending: int = 0
    mfg_status_octets: int = 1
    has_switch: bool = False
    overload_w: int = 0
    without_limits: tuple[int, ...] = ()
    spare_octets: int = 0
    mfg_octets: int = 0
    user_tables: Mapping[int, tuple[Fragment, ...]] = field(default_factory=dict)

    @property
    def used(self) -> tuple[int, ...]:
        """Give the standard tables of ST-00, in order."""
        derived = {11, 12, 16} if self.sources else set()
        derived |= {13} if any(s.demand for s in self.sources) else set()
        derived |= {14} if any(s.data_id for s in self.sources) else set()
        derived |= {15} if any(s.constants for s in self.sources) else set()
        derived |= set(self.user_tables)
        numbers = derived | set(self.tables) | set(self.data) | set(ALWAYS)
        numbers |= set(SECURITY) if 41 in self.tables else set()
        numbers |= {KEYS} if self.tables.get(41, {}).get("NBR_KEYS") else set()
        numbers |= {n - 1 for n in numbers & set(ACTUAL) if n - 1 not in self.without_limits}
        return tuple(sorted(numbers))


@lru_cache(maxsize=64)
def with_interval(profile: DeviceProfile, minutes: int) -> DeviceProfile:
    """Give a profile with this length of the intervals of set 1 and of block demand."""
    tables = dict(profile.tables)
    if 61 in tables:
        tables[61] = {**tables[61], "MAX_INT_TIME_SET1": minutes}
    sources = tuple(
        replace(source, demand=(minutes, 1)) if source.demand and source.demand[1] == 1 else source
        for source in profile.sources
    )
    return replace(profile, tables=tables, sources=sources)


def octets_for(numbers: Iterable[int]) -> int:
    """Give the octets of a SET that can hold these members."""
    return max(numbers, default=-1) // MEMBERS_AN_OCTET + 1


def general_configuration(profile: DeviceProfile) -> Record:
    """Give ST-00."""
    formats, used = profile.formats, profile.used
    return Record(
        FORMAT_CONTROL_1={
            "DATA_ORDER": formats.data_order,
            "CHAR_FORMAT": formats.char_format,
            "MODEL_SELECT": 0,
        },
        FORMAT_CONTROL_2={
            "TM_FORMAT": formats.tm_format,
            "DATA_ACCESS_METHOD": formats.data_access_method,
            "ID_FORM": formats.id_form,
            "INT_FORMAT": formats.int_format,
        },
        FORMAT_CONTROL_3={"NI_FORMAT1": formats.ni_format1, "NI_FORMAT2": formats.ni_format2},
        DEVICE_CLASS=profile.device_class,
        NAMEPLATE_TYPE=2,
        DEFAULT_SET_USED=0,
        MAX_PROC_PARM_LENGTH=32,
        MAX_RESP_DATA_LEN=16,
        STD_VERSION_NO=formats.std_version_no,
        STD_REVISION_NO=0,
        DIM_STD_TBLS_USED=octets_for(used) + profile.spare_octets,
        DIM_MFG_TBLS_USED=profile.mfg_octets,
        DIM_STD_PROC_USED=octets_for(profile.procedures) + profile.spare_octets,
        DIM_MFG_PROC_USED=profile.mfg_octets,
        DIM_MFG_STATUS_USED=profile.mfg_status_octets,
        NBR_PENDING=profile.nbr_pending,
        STD_TBLS_USED=frozenset(used),
        MFG_TBLS_USED=frozenset(),
        STD_PROC_USED=frozenset(profile.procedures),
        MFG_PROC_USED=frozenset(),
        STD_TBLS_WRITE=frozenset((*profile.writable, *SECURITY, KEYS)) & frozenset(used),
        MFG_TBLS_WRITE=frozenset(),
    )


def source_tables(profile: DeviceProfile) -> dict[int, Values]:
    """Give ST-11 to ST-16 as the sources ask for; ST-13's exclusions come from the profile."""
    sources = profile.sources
    chosen: dict[int, list[Any]] = {
        12: [_unit_entry(source.unit) for source in sources],
        13: [_interval(*source.demand) for source in sources if source.demand],
        14: [{"SOURCE_ID": source.data_id} for source in sources if source.data_id],
        15: [{"ELECTRIC_CONSTANTS": s.constants} for s in sources if s.constants],
        16: [_link(source) for source in sources],
    }
    given = profile.tables.get(11, {})
    dims: dict[str, Any] = {
        "NBR_UOM_ENTRIES": len(sources),
        "NBR_DEMAND_CTRL_ENTRIES": len(chosen[13]),
        "DATA_CTRL_LENGTH": max((len(s.data_id) for s in sources if s.data_id), default=0),
        "NBR_DATA_CTRL_ENTRIES": len(chosen[14]),
        "NBR_CONSTANTS_ENTRIES": len(chosen[15]),
        "CONSTANTS_SELECTOR": 2,
        "NBR_SOURCES": len(sources),
        **given,
    }
    values: dict[int, Values] = {11: dims, 12: {"UOM_ENTRY": chosen[12]}}
    values[13] = {**profile.tables.get(13, {}), "INTERVAL_VALUE": chosen[13]}
    values[14], values[15] = {"SOURCES_ID": chosen[14]}, {"SELECTION": chosen[15]}
    values[16] = {"SOURCES_LINK": chosen[16]}
    return values


def _unit_entry(unit: Unit) -> dict[str, int]:
    entry = {f"Q{n}_ACCOUNTABILITY": 1 for n in unit.quadrants}
    return entry | {
        "ID_CODE": unit.quantity,
        "TIME_BASE": unit.time_base,
        "MULTIPLIER": unit.multiplier,
        "NET_FLOW_ACCOUNTABILITY": unit.net,
        "SEGMENTATION": unit.segmentation,
    }


def _interval(sub_min: int, subintervals: int) -> dict[str, int]:
    """Give an entry of ST-13; the table keeps those members that its flags call for."""
    length = {"INT_LENGTH": sub_min * subintervals}
    return length | {"SUB_INT": sub_min, "INT_MULTIPLIER": subintervals}


def _link(source: SourceProfile) -> dict[str, int]:
    return {
        "UOM_ENTRY_FLAG": 1,
        "DEMAND_CTRL_FLAG": int(source.demand is not None),
        "DATA_CTRL_FLAG": int(source.data_id is not None),
        "CONSTANTS_FLAG": int(source.constants is not None),
        "PULSE_ENGR_FLAG": int(source.applied),
        "CONSTANT_TO_BE_APPLIED": int(not source.applied),
    }


def factory_images(profile: DeviceProfile) -> dict[int, bytes]:
    """Give the images of all configuration tables as they leave the factory."""
    used = profile.used
    # ST-00's own layout depends on the lengths of its sets only.
    general = general_configuration(profile)
    sized = DeviceFormat(
        dim_std_tbls_used=general.DIM_STD_TBLS_USED,
        dim_mfg_tbls_used=general.DIM_MFG_TBLS_USED,
        dim_std_proc_used=general.DIM_STD_PROC_USED,
        dim_mfg_proc_used=general.DIM_MFG_PROC_USED,
    )
    images = {0: layout_for(0, Context(sized)).encode(general)}
    values: dict[int, Values] = {**profile.tables, **source_tables(profile)}
    if 41 in values:
        rules = factory_rules(b"", b"", used)
        values |= security_values(rules)
        values[41] = {**values[41], "NBR_PERM_USED": len(rules.listed)}
    values.setdefault(72, {"STD_EVENTS_SUPPORTED": frozenset(profile.events)})
    # Actual tables first, then ST-62: the layouts of all others depend on these only.
    first = [n for n in (*ACTUAL, 62) if n in used]
    for number in first:
        context = Context.from_images(images)
        images[number] = encoded(number, values.get(number, {}), context)
        if number in ACTUAL and number - 1 in used:
            limit = {**values.get(number, {}), **profile.limits.get(number - 1, {})}
            images[number - 1] = encoded(number - 1, limit, context)
    images |= _sizes(images, values)
    context = Context.from_images(images)
    for number in used:
        if number not in images and number not in COMPUTED:
            images[number] = encoded(number, values.get(number, {}), context)
    return images


def _sizes(images: Mapping[int, bytes], values: Mapping[int, Values]) -> dict[int, bytes]:
    """Give ST-50, 51, 60 and 61 with the octets that calendar and load profile take."""
    found = {}
    context = Context.from_images(images)
    for actual, (name, sized) in SIZES.items():
        for number in {actual, actual - 1} & set(images):
            # The limits have the layout of what they limit: what would it take at most?
            assumed = {n: image for n, image in images.items() if n != 62}
            assumed[actual] = images[number]
            if 62 in images:
                assumed[62] = encoded(62, values[62], Context.from_images(assumed))
            then = Context.from_images(assumed)
            octets = sum(layout_for(n, then).size or 0 for n in sized if then.uses(n))
            at, width = layout_for(number, context).field(name)
            told = octets.to_bytes(width, context.fmt.data_order)
            found[number] = images[number][:at] + told + images[number][at + width :]
    return found


def dial(ni_code: int) -> int:
    """Give the power of ten at which a register in this number format starts again from zero.

    Positive and negative numbers below it are exact in the format.
    """
    digits = {0: 15, 1: 7, 2: 11, 3: 5, 4: 5, 5: 11, 6: 7, 12: 15, 13: 20}.get(ni_code)
    if digits is None:
        digits = len(str((1 << (8 * NI_SIZES[ni_code] - 1)) - 1)) - 1
    return int(10**digits)
