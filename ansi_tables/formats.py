"""DeviceFormat: what ST-00 of a device says of byte order, numbers, text and time.

ST-00 itself is safe to decode before anything is known of a device: its
members are single octets or sets, which no format touches
(C12.19 table 00; three real images decode to the last octet).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ansi_tables.errors import FormatRefusedError, TruncatedTableError
from ansi_tables.ids import manufacturer
from ansi_tables.overrides import Overrides

#: Octets of each NI format, by code; 14 and 15 are reserved.
NI_SIZES = (8, 4, 12, 6, 4, 6, 4, 3, 4, 5, 6, 8, 8, 21)

#: No overrides: the tables tell the truth.
AS_DECLARED = Overrides()
#: Octets before the sets of ST-00.
FIXED_OCTETS = 19


@dataclass(frozen=True)
class DeviceFormat:
    """The members of ST-00 that decide layouts, checked.

    Frozen and hashable: layouts are cached by it, so equal devices share them.
    """

    data_order: Literal["little", "big"] = "little"
    char_format: int = 1
    model_select: int = 0
    tm_format: int = 2
    data_access_method: int = 1
    id_form: int = 0
    int_format: int = 0
    ni_format1: int = 8
    ni_format2: int = 8
    nameplate_type: int = 2
    max_proc_parm_length: int = 255
    max_resp_data_len: int = 255
    std_version_no: int = 1
    dim_std_tbls_used: int = 0
    dim_mfg_tbls_used: int = 0
    dim_std_proc_used: int = 0
    dim_mfg_proc_used: int = 0
    dim_mfg_status_used: int = 0
    nbr_pending: int = 0
    std_tbls_used: frozenset[int] = frozenset()
    mfg_tbls_used: frozenset[int] = frozenset()
    std_proc_used: frozenset[int] = frozenset()
    mfg_proc_used: frozenset[int] = frozenset()
    std_tbls_write: frozenset[int] = frozenset()
    mfg_tbls_write: frozenset[int] = frozenset()
    overrides: Overrides = AS_DECLARED

    def __post_init__(self) -> None:
        """Refuse formats that are reserved: guessing a width would shift every later field."""
        for name, code in (("NI_FORMAT1", self.ni_format1), ("NI_FORMAT2", self.ni_format2)):
            if not 0 <= code < len(NI_SIZES):
                raise _refused(name, code)
        if not 0 <= self.tm_format <= 4:
            raise _refused("TM_FORMAT", self.tm_format)
        if not 0 <= self.int_format <= 2:
            raise _refused("INT_FORMAT", self.int_format)

    @property
    def listed_tables(self) -> frozenset[int]:
        """Give the ids of the tables that ST-00 lists."""
        return self.std_tbls_used | {manufacturer(n) for n in self.mfg_tbls_used}

    @classmethod
    def from_table0(cls, data: bytes, overrides: Overrides = AS_DECLARED) -> DeviceFormat:
        """Read the image of ST-00; octets after its end are not looked at.

        ``std_version_no`` is the edition of ``overrides`` where that names one.
        """
        if len(data) < FIXED_OCTETS:
            path, offset = [place for place in _BEFORE_SETS if place[1] <= len(data)][-1]
            raise TruncatedTableError(
                f"{len(data)} octets, the part before the sets has {FIXED_OCTETS}",
                table="ST-00",
                path=path,
                offset=offset,
            )
        first, second, third = data[0], data[1], data[2]
        std, mfg, std_proc, mfg_proc, mfg_status, pending = data[13:19]
        sets: list[frozenset[int]] = []
        at = FIXED_OCTETS
        for size in (std, mfg, std_proc, mfg_proc, std, mfg):
            if at + size > len(data):
                raise TruncatedTableError(
                    f"{len(data)} octets, the sets need more",
                    table="ST-00",
                    path=SET_NAMES[len(sets)],
                    offset=at,
                )
            sets.append(members(data[at : at + size]))
            at += size
        return cls(
            data_order="big" if first & 1 else "little",
            char_format=first >> 1 & 7,
            model_select=first >> 4 & 7,
            tm_format=second & 7,
            data_access_method=second >> 3 & 3,
            id_form=second >> 5 & 1,
            int_format=second >> 6 & 3,
            ni_format1=third & 15,
            ni_format2=third >> 4,
            nameplate_type=data[7],
            max_proc_parm_length=data[9],
            max_resp_data_len=data[10],
            std_version_no=data[11] if overrides.edition is None else overrides.edition,
            dim_std_tbls_used=std,
            dim_mfg_tbls_used=mfg,
            dim_std_proc_used=std_proc,
            dim_mfg_proc_used=mfg_proc,
            dim_mfg_status_used=mfg_status,
            nbr_pending=pending,
            std_tbls_used=sets[0],
            mfg_tbls_used=sets[1],
            std_proc_used=sets[2],
            mfg_proc_used=sets[3],
            std_tbls_write=sets[4],
            mfg_tbls_write=sets[5],
            overrides=overrides,
        )


#: The members before the sets of ST-00, and their octets: the same on every device.
_BEFORE_SETS = (
    ("FORMAT_CONTROL_1", 0),
    ("FORMAT_CONTROL_2", 1),
    ("FORMAT_CONTROL_3", 2),
    ("DEVICE_CLASS", 3),
    ("NAMEPLATE_TYPE", 7),
    ("DEFAULT_SET_USED", 8),
    ("MAX_PROC_PARM_LENGTH", 9),
    ("MAX_RESP_DATA_LEN", 10),
    ("STD_VERSION_NO", 11),
    ("STD_REVISION_NO", 12),
    ("DIM_STD_TBLS_USED", 13),
    ("DIM_MFG_TBLS_USED", 14),
    ("DIM_STD_PROC_USED", 15),
    ("DIM_MFG_PROC_USED", 16),
    ("DIM_MFG_STATUS_USED", 17),
    ("NBR_PENDING", 18),
)
#: The bit sets at the end of ST-00, in their order; each is as long as its dimension says.
SET_NAMES = (
    "STD_TBLS_USED",
    "MFG_TBLS_USED",
    "STD_PROC_USED",
    "MFG_PROC_USED",
    "STD_TBLS_WRITE",
    "MFG_TBLS_WRITE",
)


#: The bits that are set in each octet.
_BITS = tuple(tuple(k for k in range(8) if octet >> k & 1) for octet in range(256))


def members(octets: bytes) -> frozenset[int]:
    """Give the members of a SET: k is bit k mod 8 of octet k div 8."""
    return frozenset(8 * at + k for at, octet in enumerate(octets) for k in _BITS[octet])


def _refused(name: str, code: int) -> FormatRefusedError:
    return FormatRefusedError(f"code {code} is reserved", table="ST-00", path=name)
