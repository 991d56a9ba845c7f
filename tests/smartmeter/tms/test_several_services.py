"""Several services in one APDU to the TMS: each has a response of its own, in order."""

from ansi_tables import ssi_tables
from ansi_tables.ssi_tables import DEFAULT_BASE, SsiTable
from protocols.c1222.registration import Register, decode_registered, serial_uid
from protocols.c1222.services import Deregister, NetworkSecurity, encode_service
from protocols.psem.codec import encode_request
from protocols.psem.codes import ResponseCode
from protocols.psem.services import FullRead, FullWrite, Identify, IndexWrite, Logon, OffsetWrite
from smartmeter.tms.open_answers import OpenAnswers, Share
from smartmeter.tms.server import TmsServer
from tests.smartmeter.tms.talker import HOST, METER, Talker, tms

__all__ = ["tms"]

OK, ISC, ERR = (bytes([code]) for code in (ResponseCode.ok, ResponseCode.isc, ResponseCode.err))
STATUS = bytes.fromhex("0001000000")
WRITE = encode_request(FullWrite(3, STATUS))
WRONG_SUM = WRITE[:-1] + bytes([WRITE[-1] ^ 1])
IDENTIFY = encode_request(Identify())
REGISTER = encode_service(Register(METER.title, serial_uid(METER.esn)))
SECURITY = encode_service(NetworkSecurity(b"".ljust(20), 2))


def kept(server: TmsServer, table: int) -> bytes | None:
    row = server.store.one("SELECT image FROM images WHERE esn=? AND table_nbr=?", METER.esn, table)
    return bytes(row["image"]) if row is not None else None


async def test_a_registration_among_other_services_is_taken_and_each_is_answered(
    tms: TmsServer,
) -> None:
    async with Talker(METER, tms) as meter:
        answers = await meter.ask(IDENTIFY, REGISTER, encode_request(FullRead(1)), IDENTIFY)
        assert answers[0] == answers[3] and answers[0][:2] == b"\0\3"
        assert decode_registered(answers[1]).title == METER.title
        assert answers[2] == ISC
        assert tms.head_end.connected(METER.esn)


async def test_a_good_write_beside_a_bad_one_is_stored(tms: TmsServer) -> None:
    index = encode_request(IndexWrite(9, (0,), b"\1"))
    unknown, logon = b"\x60", encode_request(Logon(2, b"someone"))
    async with Talker(METER, tms) as meter:
        answers = await meter.ask(WRONG_SUM, WRITE, index, unknown, encode_request(FullRead(1)))
        codes = [ERR, OK, bytes([ResponseCode.onp]), bytes([ResponseCode.sns]), ISC]
        assert list(answers) == codes
        assert kept(tms, 3) == STATUS
        again = encode_request(FullWrite(23, b"1234")), encode_request(OffsetWrite(23, 1, b"x"))
        assert (await meter.ask(logon[:1] + bytes(14), *again))[1:] == (OK, OK)
        assert kept(tms, 23) == b"1x34"


async def test_a_registration_and_a_notification_in_one_message_both_act(tms: TmsServer) -> None:
    async with Talker(METER, tms) as meter:
        answers = await meter.ask(SECURITY, REGISTER, WRITE)
        assert answers[0] == answers[2] == OK and answers[1][:1] == OK
        assert kept(tms, 3) == STATUS and tms.head_end.connected(METER.esn)
        answers = await meter.ask(WRITE, encode_service(Deregister(METER.title)), WRONG_SUM)
        assert answers == (OK, OK, ERR)
        answers = await meter.ask(encode_service(Deregister(HOST.title)), WRITE)
        assert answers == (ISC, OK), "another's title"
        refused = Register(METER.title, serial_uid("ANOTHER"))
        assert await meter.ask(encode_service(refused), WRITE) == (ERR, OK)


async def test_a_report_with_a_bad_item_is_refused_whole_and_says_which(tms: TmsServer) -> None:
    image = b"SSI1" + bytes(ssi_tables.codec(SsiTable.REPORT_HEADER).sizeof() - 4)
    first = encode_request(FullWrite(DEFAULT_BASE, image))
    async with Talker(METER, tms) as meter:
        answers = await meter.ask(first, WRITE, WRONG_SUM)
        iar = bytes([ResponseCode.iar])
        assert answers == (iar, iar, ERR)
        assert kept(tms, 3) is None


def test_an_answer_is_whole_when_its_last_share_is_there() -> None:
    answers = OpenAnswers(2)
    assert answers.fill(7, [b"a"]) == (7, [b"a"])
    answers.begin(1, [b"x", None, None])
    assert answers.fill(Share(1, (2,)), [b"z"]) is None
    assert answers.fill(Share(1, (1,)), [b"y"]) == (1, [b"x", b"y", b"z"])
    assert answers.fill(Share(1, (1,)), [b"y"]) is None, "it has gone"


def test_of_too_many_open_answers_the_oldest_is_forgotten() -> None:
    answers = OpenAnswers(2)
    for request in (1, 2, 3):
        answers.begin(request, [None])
    assert answers.fill(Share(1, (0,)), [b"a"]) is None
    assert answers.fill(Share(2, (0,)), [b"b"]) == (2, [b"b"])
