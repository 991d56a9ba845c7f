"""Decade 15, quality of service: ST-150 to ST-158.

Titles are public, members are not: the octets are kept.
"""

from __future__ import annotations

from ansi_tables.registry import opaque

TABLES = (
    opaque(150, "DIM_QUALITY_OF_SERVICE_TBL", "Quality of service dimension limits"),
    opaque(151, "ACT_QUALITY_OF_SERVICE_TBL", "Actual quality of service limiting"),
    opaque(152, "QUALITY_OF_SERVICE_CTRL_TBL", "Quality of service control"),
    opaque(153, "QUALITY_OF_SERVICE_INCIDENTS_TBL", "Quality of service incidents"),
    opaque(154, "QUALITY_OF_SERVICE_LOG_TBL", "Quality of service log"),
    opaque(155, "ASYNC_TIME_DOMAIN_WAVEFORMS_TBL", "Asynchronous time-domain waveforms"),
    opaque(156, "ASYNC_FREQ_DOMAIN_SPECTRUM_TBL", "Asynchronous frequency-domain spectrum"),
    opaque(157, "PERIODIC_TIME_DOMAIN_WAVEFORMS_TBL", "Periodic time-domain waveforms"),
    opaque(158, "PERIODIC_FREQ_DOMAIN_SPECTRUM_TBL", "Periodic frequency-domain spectrum"),
)
