"""A report of a SmartMeter, read: for the collector, and for a gateway's own sinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import NBR_SSI_TABLES, SsiTable
from protocols.c1222.services import decode_service, whole_write
from protocols.psem.services import FullWrite, OffsetWrite
from smartmeter.tms.store.records import Part

_SSI_TABLES = {int(table): table for table in SsiTable}


def read_report(services: Sequence[bytes]) -> tuple[dict[str, Any], tuple[Part, ...]]:
    """Read the services of a report: header, then parts.

    TableError, MalformedRequest or ValueError if it is none.
    """
    table, offset, data = written(services[0])
    if offset is not None:
        raise ValueError("a report begins with a write of its header")
    header = ssi_tables.decode(SsiTable.REPORT_HEADER, data)
    base, parts = header["BASE"], []
    for octets in services[1:]:
        table, offset, data = written(octets)
        if offset is None and 0 <= table - base < NBR_SSI_TABLES:
            kind = _SSI_TABLES.get(table - base)
            if kind is None:
                raise ValueError(f"{table - base} is no table of the SSI")
            parts.append(Part(table, kind, ssi_tables.decode(kind, data), data, None))
        else:
            parts.append(Part(table, None, {}, data, offset))
    return header, tuple(parts)


def written(octets: bytes) -> tuple[int, int | None, bytes]:
    """Give table, offset (None for a whole table) and data of a write."""
    write = whole_write(octets)
    if write is not None:
        return write[0], None, write[1]
    service = decode_service(octets)
    if isinstance(service, OffsetWrite):
        return service.table, service.offset, service.data
    if not isinstance(service, FullWrite):
        raise ValueError("a report holds writes only")
    return service.table, None, service.data
