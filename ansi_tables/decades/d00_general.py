"""Decade 0, general configuration: ST-00 to ST-08."""

from __future__ import annotations

from ansi_tables.context import Context
from ansi_tables.fields import (
    Tree,
    array,
    binary,
    bit_field,
    record,
    rest,
    set_of,
    stime_date,
    text,
    uint,
)
from ansi_tables.identifiers import (
    ed_mode,
    event,
    identifier,
    std_status1,
    std_status2,
    table_ida,
    table_idb,
)
from ansi_tables.registry import TableDefinition


def general_configuration(ctx: Context) -> Tree:
    """ST-00: formats, dimensions, and which tables and procedures there are.

    Shape  19 octets, then six SETs of the lengths given in octets 13..16.
    """
    fmt = ctx.fmt
    return record(
        "FORMAT_CONTROL_1"
        / bit_field(ctx, 8, DATA_ORDER=(0, 0), CHAR_FORMAT=(1, 3), MODEL_SELECT=(4, 6)),
        "FORMAT_CONTROL_2"
        / bit_field(
            ctx,
            8,
            TM_FORMAT=(0, 2),
            DATA_ACCESS_METHOD=(3, 4),
            ID_FORM=(5, 5),
            INT_FORMAT=(6, 7),
        ),
        "FORMAT_CONTROL_3" / bit_field(ctx, 8, NI_FORMAT1=(0, 3), NI_FORMAT2=(4, 7)),
        "DEVICE_CLASS" / binary(4),
        *(
            name / uint(ctx, 8)
            for name in (
                "NAMEPLATE_TYPE",
                "DEFAULT_SET_USED",
                "MAX_PROC_PARM_LENGTH",
                "MAX_RESP_DATA_LEN",
                "STD_VERSION_NO",
                "STD_REVISION_NO",
                "DIM_STD_TBLS_USED",
                "DIM_MFG_TBLS_USED",
                "DIM_STD_PROC_USED",
                "DIM_MFG_PROC_USED",
                "DIM_MFG_STATUS_USED",
                "NBR_PENDING",
            )
        ),
        "STD_TBLS_USED" / set_of(fmt.dim_std_tbls_used),
        "MFG_TBLS_USED" / set_of(fmt.dim_mfg_tbls_used),
        "STD_PROC_USED" / set_of(fmt.dim_std_proc_used),
        "MFG_PROC_USED" / set_of(fmt.dim_mfg_proc_used),
        "STD_TBLS_WRITE" / set_of(fmt.dim_std_tbls_used),
        "MFG_TBLS_WRITE" / set_of(fmt.dim_mfg_tbls_used),
    )


def manufacturer_identification(ctx: Context) -> Tree:
    """ST-01: who made the device, its model, versions and serial number; 32 or 24 octets."""
    return record(
        "MANUFACTURER" / text(ctx, 4),
        "ED_MODEL" / text(ctx, 8),
        "HW_VERSION_NUMBER" / uint(ctx, 8),
        "HW_REVISION_NUMBER" / uint(ctx, 8),
        "FW_VERSION_NUMBER" / uint(ctx, 8),
        "FW_REVISION_NUMBER" / uint(ctx, 8),
        "MFG_SERIAL_NUMBER" / uint(ctx, 64)
        if ctx.fmt.overrides.serial_number_uint64
        else "MFG_SERIAL_NUMBER" / identifier(ctx, 16),
    )


def device_nameplate(ctx: Context) -> Tree:
    """ST-02: the nameplate; 33 octets for electricity, opaque for gas and water."""
    if ctx.fmt.nameplate_type == 0:
        return record("GAS_DEVICE" / rest())
    if ctx.fmt.nameplate_type == 1:
        return record(None, "WATER_DEVICE" / rest())
    if ctx.fmt.nameplate_type != 2:
        return record("RAW" / rest())
    return record(
        None,
        None,
        "ELECTRIC_DEVICE"
        / record(
            "E_KH" / text(ctx, 6),
            "E_KT" / text(ctx, 6),
            "E_INPUT_SCALAR" / uint(ctx, 8),
            "E_ED_CONFIG" / text(ctx, 5),
            "E_ELEMENTS"
            / bit_field(
                ctx,
                16,
                E_FREQ=(0, 2),
                E_NO_OF_ELEMENTS=(3, 5),
                E_BASE_TYPE=(6, 9),
                E_ACCURACY_CLASS=(10, 15),
            ),
            "E_VOLTS" / bit_field(ctx, 8, E_ELEMENTS_VOLTS=(0, 3), E_ED_SUPPLY_VOLTS=(4, 7)),
            "E_AMPS" / record("E_CLASS_MAX_AMPS" / text(ctx, 6), "E_TA" / text(ctx, 6)),
        ),
    )


def mode_status(ctx: Context) -> Tree:
    """ST-03: mode, standard and manufacturer status; 4 octets and the status set."""
    return record(
        "ED_MODE" / ed_mode(ctx),
        "ED_STD_STATUS1" / std_status1(ctx),
        "ED_STD_STATUS2" / std_status2(ctx),
        "ED_MFG_STATUS" / set_of(ctx.fmt.dim_mfg_status_used),
    )


def pending_status(ctx: Context) -> Tree:
    """ST-04: which tables can wait, and which do (entry of 8 octets from one source)."""
    entry = record("EVENT" / event(ctx), "TABLE_SELECTOR" / table_ida(ctx))
    return record(
        "STANDARD_PENDING" / set_of(ctx.fmt.dim_std_tbls_used),
        "MANUFACT_PENDING" / set_of(ctx.fmt.dim_mfg_tbls_used),
        "LAST_ACTIVATION_DATE_TIME" / stime_date(ctx),
        "NBR_PENDING_ACTIVATION" / uint(ctx, 8),
        "PENDING_TABLES" / array(ctx.fmt.nbr_pending, entry),
    )


def device_identification(ctx: Context) -> Tree:
    """ST-05: the owner's name for the device; 20 or 10 octets."""
    return record("IDENTIFICATION" / identifier(ctx, 20))


def utility_information(ctx: Context) -> Tree:
    """ST-06: owner, service point, customer; 230 or 180 octets."""
    return record(
        "OWNER_NAME" / text(ctx, 20),
        "UTILITY_DIV" / text(ctx, 20),
        "SERVICE_POINT_ID" / identifier(ctx, 20),
        "ELEC_ADDR" / identifier(ctx, 20),
        "DEVICE_ID" / identifier(ctx, 20),
        "UTIL_SER_NO" / identifier(ctx, 20),
        "CUSTOMER_ID" / identifier(ctx, 20),
        "COORDINATE_1" / binary(10),
        "COORDINATE_2" / binary(10),
        "COORDINATE_3" / binary(10),
        "TARIFF_ID" / text(ctx, 8),
        "EX1_SW_VENDOR" / text(ctx, 4),
        "EX1_SW_VERSION_NUMBER" / uint(ctx, 8),
        "EX1_SW_REVISION_NUMBER" / uint(ctx, 8),
        "EX2_SW_VENDOR" / text(ctx, 4),
        "EX2_SW_VERSION_NUMBER" / uint(ctx, 8),
        "EX2_SW_REVISION_NUMBER" / uint(ctx, 8),
        "PROGRAMMER_NAME" / text(ctx, 10),
        "MISC_ID" / text(ctx, 30),
    )


def procedure_initiate(ctx: Context) -> Tree:
    """ST-07: starts a procedure; its parameters are the procedure's own matter."""
    return record(
        "PROC" / table_idb(ctx),
        "SEQ_NBR" / uint(ctx, 8),
        "PARM_RCD" / rest(ctx.fmt.max_proc_parm_length),
    )


def procedure_response(ctx: Context) -> Tree:
    """ST-08: the outcome of the last procedure; some meters pad it."""
    return record(
        "PROC" / table_idb(ctx),
        "SEQ_NBR" / uint(ctx, 8),
        "RESULT_CODE" / uint(ctx, 8),
        "RESP_DATA_RCD" / rest(ctx.fmt.max_resp_data_len),
    )


TABLES = (
    TableDefinition(0, "GEN_CONFIG_TBL", "General configuration", general_configuration),
    TableDefinition(
        1, "GENERAL_MFG_ID_TBL", "Manufacturer identification", manufacturer_identification
    ),
    TableDefinition(2, "DEVICE_NAMEPLATE_TBL", "Device nameplate", device_nameplate),
    TableDefinition(3, "ED_MODE_STATUS_TBL", "End device mode and status", mode_status),
    TableDefinition(
        4, "PENDING_STATUS_TBL", "Pending status", pending_status, confidence="single-source"
    ),
    TableDefinition(5, "DEVICE_IDENT_TBL", "Device identification", device_identification),
    TableDefinition(6, "UTIL_INFO_TBL", "Utility information", utility_information),
    TableDefinition(7, "PROC_INITIATE_TBL", "Procedure initiate", procedure_initiate),
    TableDefinition(8, "PROC_RESPONSE_TBL", "Procedure response", procedure_response),
)
