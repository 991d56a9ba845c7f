"""A client that we did not write reads our meter through a pty and agrees with ours.

Termineter's known faults, met here: its set reader drops every eighth member
(so its lists are compared without them), and it cannot read a table longer than
one answer of 2 packets of 512 octets: 1,004 octets.
"""

from pathlib import Path
from typing import Any

from ansi_tables.snapshot import Snapshot
from protocols.transports.pump import open_meter
from smartmeter.meter.profiles import RESIDENTIAL
from tests.smartmeter.cli.served import STANDING, meter_process

SERIAL = {
    "baudrate": 9600,
    "bytesize": 8,
    "parity": "N",
    "stopbits": 1,
    "xonxoff": False,
    "rtscts": False,
    "dsrdtr": False,
    "interCharTimeout": None,
    "timeout": 2,
    "writeTimeout": 2,
}
#: Longer than Termineter can take.
LONG = {64, 76}
WRITE_ONLY, SECRET = 7, 42


def test_termineter_reads_every_table_as_we_do(tmp_path: Path) -> None:
    from c1218.connection import Connection
    from c1218.errors import C1218ReadTableError
    from c1219.access.general import C1219GeneralAccess

    wanted = set(RESIDENTIAL.used) - {WRITE_ONLY, SECRET} - LONG
    theirs: dict[int, bytes] = {}
    with meter_process("--pty", str(tmp_path / "meter"), *STANDING) as (port, _):
        with open_meter(port, password=b"reader") as meter:
            ours = {number: meter.read(number) for number in wanted | LONG}
        connection: Any = Connection(port, serial_settings=SERIAL)
        connection.start()
        assert connection.login("0000", 0, "reader")
        for number in sorted(wanted):
            theirs[number] = connection.get_table_data(number)
        for number in (WRITE_ONLY, SECRET):
            try:
                connection.get_table_data(number)
            except C1218ReadTableError:
                continue
            raise AssertionError(f"ST-{number} was shown")
        general: Any = C1219GeneralAccess(connection)
        assert connection.stop()
        connection.close()
    assert max(map(len, theirs.values())) <= 1004 < min(len(ours[number]) for number in LONG)
    assert theirs == {number: ours[number] for number in wanted}
    compare_information(general, Snapshot(ours))


def compare_information(general: Any, ours: Snapshot) -> None:
    """Compare each field that Termineter's ``get_info`` shows with ours."""
    config, identity, status = ours[0], ours[1], ours[3]
    assert general.manufacturer == identity.MANUFACTURER.rstrip() == "SMOP"
    assert general.ed_model == identity.ED_MODEL.rstrip() == "SM-RES-1"
    assert general.mfg_serial_no == identity.MFG_SERIAL_NUMBER.rstrip() == "SM000001"
    assert (general.hw_version_no, general.hw_revision_no) == (
        identity.HW_VERSION_NUMBER,
        identity.HW_REVISION_NUMBER,
    )
    assert (general.fw_version_no, general.fw_revision_no) == (
        identity.FW_VERSION_NUMBER,
        identity.FW_REVISION_NUMBER,
    )
    assert general.device_id == ours[5].IDENTIFICATION.rstrip() == "SM000001"
    assert (general.std_version_no, general.std_revision_no) == (
        config.STD_VERSION_NO,
        config.STD_REVISION_NO,
    )
    assert general.nameplate_type == "Electric" and config.NAMEPLATE_TYPE == 2
    assert general.char_format == "ISO/IEC 646 (7-bit)" and config.FORMAT_CONTROL_1.CHAR_FORMAT == 1
    assert general.id_form == config.FORMAT_CONTROL_2.ID_FORM
    assert general.ed_mode == 1 and status.ED_MODE.METERING_FLAG
    assert general.std_status == 0
    for theirs, members in (
        (general.std_tbls_used, config.STD_TBLS_USED),
        (general.mfg_tbls_used, config.MFG_TBLS_USED),
        (general.std_proc_used, config.STD_PROC_USED),
        (general.mfg_proc_used, config.MFG_PROC_USED),
    ):
        assert theirs == [member for member in members if member % 8 != 7]
