"""The checks, by group.  Importing this package registers them all."""

from smartmeter.conformance.checks import (
    access_checks as access_checks,
)
from smartmeter.conformance.checks import (
    call_checks as call_checks,
)
from smartmeter.conformance.checks import (
    drawn_checks as drawn_checks,
)
from smartmeter.conformance.checks import (
    line_checks as line_checks,
)
from smartmeter.conformance.checks import (
    logging_checks as logging_checks,
)
from smartmeter.conformance.checks import (
    packet_checks as packet_checks,
)
from smartmeter.conformance.checks import (
    robustness_checks as robustness_checks,
)
from smartmeter.conformance.checks import (
    security_checks as security_checks,
)
from smartmeter.conformance.checks import (
    service_checks as service_checks,
)
from smartmeter.conformance.checks import (
    session_checks as session_checks,
)
from smartmeter.conformance.checks import (
    table_checks as table_checks,
)
from smartmeter.conformance.checks import (
    timing_checks as timing_checks,
)
from smartmeter.conformance.checks import (
    write_checks as write_checks,
)

LOADED = True
