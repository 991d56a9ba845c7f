"""Errors are values: they can be copied, and go from a process that reads to one that waits."""

import pickle
from copy import copy

import pytest

from protocols.c1222.errors import ApduRejected
from protocols.errors import (
    LinkError,
    OutcomeUnknown,
    ProcedureUnanswered,
    ProtocolError,
    ServiceRefused,
    TableChecksumError,
)


@pytest.mark.parametrize(
    "error",
    [
        LinkError("no answer"),
        OutcomeUnknown("write of table 5", 12, LinkError("no answer")),
        ProcedureUnanswered(LinkError("no answer")),
        ServiceRefused(3, "isc", "FullRead of table 71"),
        TableChecksumError(b"\x01", 0xFE, 0xFF),
        ApduRejected("bad-oid", "it does not end"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_in_another_process(error: ProtocolError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
