"""The standard tables, one file a decade."""

from ansi_tables.decades import (
    d00_general,
    d01_sources,
    d02_registers,
    d04_security,
    d05_time,
    d06_load_profile,
    d07_logs,
)

TABLES = (
    *d00_general.TABLES,
    *d01_sources.TABLES,
    *d02_registers.TABLES,
    *d04_security.TABLES,
    *d05_time.TABLES,
    *d06_load_profile.TABLES,
    *d07_logs.TABLES,
)
