"""What Home Assistant is told: a device by MQTT discovery, and hourly history by statistics.

Pure values; ``mqtt`` and ``statistics_link`` carry them.  The discovery form
is the device one (one retained payload for all of a meter's entities); the
history is an *external statistic*: whole watt-hours by UTC hour, each hour
rounded from the exact sum since the first interval, so that rounding does not
add up and an hour sent again is the same hour.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from smartmeter.base.clock import utc_moment
from smartmeter.version import VERSION

STATISTIC_SOURCE = "smartmeter"
#: StatisticMeanType.NONE: sums have no mean.
NO_MEAN = 0
#: Year and month from which ``mean_type`` and ``unit_class`` are taken: before, both are refused
#: as unknown, and ``has_mean`` is required (read in editions 2024.3 to 2025.11).
MEAN_TYPE_SINCE = (2025, 11)
ORIGIN = {"name": "SmartMeter gateway", "sw_version": VERSION}


def discovery_topic(prefix: str, esn: str) -> str:
    """Give where the one retained payload of a meter lies."""
    return f"{prefix}/device/smartmeter_{esn}/config"


def discovery_payload(esn: str, model: str, base: str) -> dict[str, Any]:
    """Give the device with its entities; ``base`` is the topic under which its values come."""
    return {
        "device": {
            "identifiers": [f"smartmeter_{esn}"],
            "name": f"Meter {esn}",
            "manufacturer": "SmartMeter",
            "model": model or "ANSI C12.19 meter",
            "serial_number": esn,
        },
        "origin": ORIGIN,
        "components": {
            "delivered": _energy(esn, "delivered", "Energy delivered"),
            "received": _energy(esn, "received", "Energy received"),
            "power": {
                "platform": "sensor",
                "unique_id": f"smartmeter_{esn}_power",
                "name": "Power",
                "device_class": "power",
                "state_class": "measurement",
                "unit_of_measurement": "W",
                "value_template": "{{ value_json.power_w }}",
            },
            "interval_end": {
                "platform": "sensor",
                "unique_id": f"smartmeter_{esn}_interval_end",
                "name": "Last interval",
                "device_class": "timestamp",
                "value_template": "{{ value_json.interval_end }}",
            },
        },
        "state_topic": f"{base}/state",
        "availability": [
            {"topic": f"{base}/availability"},
            {"topic": f"{base.rpartition('/')[0]}/gateway"},
        ],
        "availability_mode": "all",
        "qos": 1,
    }


def _energy(esn: str, name: str, text: str) -> dict[str, str]:
    return {
        "platform": "sensor",
        "unique_id": f"smartmeter_{esn}_{name}",
        "name": text,
        "device_class": "energy",
        "state_class": "total_increasing",
        "unit_of_measurement": "Wh",
        "value_template": f"{{{{ value_json.{name}_wh }}}}",
    }


def state_payload(
    registers: dict[str, sqlite3.Row],
    interval: sqlite3.Row | None,
    power_w: Decimal | None,
    steps: Mapping[str, Decimal],
) -> dict[str, Any]:
    """Give what the entities show now: totals from the registers, power from the last interval.

    ``steps`` is what registers lack since another meter was in this one's place.
    Numbers are text, energy exact, power to a tenth of a watt; what is not known is null.
    """
    state: dict[str, Any] = {"delivered_wh": None, "received_wh": None}
    for row in registers.values():
        for direction in ("delivered", "received"):
            if row["name"] == f"active energy {direction}" and row["unit"] == "Wh":
                step = steps.get(row["name"])
                total = row["value"] if step is None else f"{Decimal(row['value']) + step:f}"
                state[f"{direction}_wh"] = total
    state |= {"power_w": None, "interval_end": None}
    if power_w is not None:
        state["power_w"] = str(power_w.quantize(Decimal("0.1")))
    if interval is not None and interval["end_s"]:
        state["interval_end"] = utc_moment(interval["end_s"]).isoformat()
    return state


def statistic_metadata(esn: str, direction: str) -> dict[str, Any]:
    """Give the description of one meter's history."""
    return {
        "statistic_id": f"{STATISTIC_SOURCE}:meter_{esn.lower()}_{direction}",
        "source": STATISTIC_SOURCE,
        "name": f"Meter {esn} energy {direction}",
        "unit_of_measurement": "Wh",
        "unit_class": "energy",
        "has_sum": True,
        "mean_type": NO_MEAN,
    }


def metadata_for(edition: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Give the description of a history in the words of an edition, as 2025.11.3."""
    month = re.match(r"(\d{4})\.(\d{1,2})\.", edition)
    if month is None or (int(month[1]), int(month[2])) >= MEAN_TYPE_SINCE:
        return metadata
    newer = ("mean_type", "unit_class")
    older = {name: value for name, value in metadata.items() if name not in newer}
    return {**older, "has_mean": metadata["mean_type"] != NO_MEAN}


def hourly_statistics(
    rows: Iterable[sqlite3.Row | Sequence[Any]], before: Decimal = Decimal(0)
) -> list[dict[str, Any]]:
    """Give one entry an hour from (hour in UTC seconds, value in Wh), rows in order of time.

    Hours are UTC, so a day of 23 or 25 hours has as many.  ``sum`` and ``state`` are the energy
    since the first interval at the hour's end; ``before`` is that of before these rows.
    """
    sums: dict[int, Decimal] = {}
    total = before
    for hour_s, value in rows:
        total += Decimal(value)
        sums[hour_s] = total
    return [
        {
            "start": utc_moment(hour_s).isoformat(),
            "state": _whole(total),
            "sum": _whole(total),
        }
        for hour_s, total in sums.items()
    ]


def _whole(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_EVEN))
