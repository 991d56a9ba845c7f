"""What a gateway tells Prometheus of each meter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from smartmeter.comms.metrics import Family, events_family

#: Name in ``status.MeterStatus`` -> metric and help.
GAUGES = {
    "port_open": ("smartmeter_port_open", "Whether the optical port is open"),
    "meter_answers": ("smartmeter_meter_answers", "Whether the meter answers"),
    "fresh": ("smartmeter_fresh", "Whether the newest value is within two periods"),
    "last_interval_end_s": ("smartmeter_last_interval_end_seconds", "End of the newest interval"),
    "registers_read_s": ("smartmeter_registers_read_seconds", "When registers were read last"),
    "outbox": ("smartmeter_outbox_reports", "Reports that wait for the TMS"),
    "last_acknowledged_s": (
        "smartmeter_last_acknowledged_seconds",
        "When the TMS acknowledged last",
    ),
    "state": ("smartmeter_module_state", "State of the module, 0 to 6"),
    "error": ("smartmeter_module_error", "Error of the module, 0 for none"),
    "warning": ("smartmeter_module_warning", "Warning of the module, 0 for none"),
    "clock_offset_s": ("smartmeter_clock_offset_seconds", "Meter's clock less the module's"),
    "state_octets": ("smartmeter_state_written_bytes", "Octets written to the state file"),
    "state_commits": ("smartmeter_state_commits", "Commits to the state file"),
}


def meter_families(status: Mapping[str, Any]) -> list[Family]:
    """Give a metric for each gauge, by ESN, and the network's events of all meters together.

    What is not known is left out.
    """
    events = sum((Counter(one.get("network_events")) for one in status["meters"]), Counter[str]())
    return [
        events_family(events),
        *(
            Family(
                metric,
                told,
                [(m["esn"], int(m[name])) for m in status["meters"] if m.get(name) is not None],
                label="esn",
            )
            for name, (metric, told) in GAUGES.items()
        ),
    ]
