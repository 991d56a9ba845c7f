"""The checks, by group.  Importing this package registers them all, in this order."""

from smartmeter.conformance.checks import (  # noqa: F401 - each registers its checks
    access_checks,
    call_checks,
    drawn_checks,
    line_checks,
    logging_checks,
    packet_checks,
    robustness_checks,
    security_checks,
    segment_checks,
    service_checks,
    session_checks,
    table_checks,
    timing_checks,
    write_checks,
)
