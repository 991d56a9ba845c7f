"""A SmartMeter whose clock is wrong is told the time when it registers; nothing else happens."""

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import Node, NodeSettings, ResponseArrived
from protocols.c1222.registration import Register, serial_uid
from protocols.c1222.services import encode_service
from protocols.psem.codec import encode_request
from protocols.psem.services import FullRead
from smartmeter.base.clock import Calendar
from tests.smartmeter.tms.reporting import UTC_S, Keys, Office

WRONG_S = 3 * 3600


def ask(office: Office, service: bytes) -> tuple[bytes, ResponseArrived | None]:
    """Ask the TMS as the first SmartMeter with a wrong clock; give what was sent and answered."""
    factory = office.factories[0]
    calendar = Calendar((UTC_S - WRONG_S) * 1_000_000)
    node = Node(factory.title, Keys(factory.key), calendar, None, NodeSettings())
    node.request([service], ApTitle.parse(".1"), 0, 0, key_id=0)
    [(_, asked)] = node.outgoing()
    office.head_end.receive(0, asked, 0)
    office.settle()
    for _, octets in office.head_end.outgoing():
        node.receive("tms", octets, 0)
    events = [one for one in node.events() if isinstance(one, ResponseArrived)]
    return asked, events[0] if events else None


def test_a_registration_with_a_wrong_stamp_is_refused_with_the_time_and_not_taken() -> None:
    office = Office()
    factory = office.factories[0]
    asked, told = ask(office, encode_service(Register(factory.title, serial_uid(factory.esn))))
    assert told is not None and told.secured and told.responses == (b"\x0b",)
    assert told.iv == UTC_S.to_bytes(4, "big")
    # Whoever sends it again, from elsewhere, is not taken for the SmartMeter either.
    office.head_end.receive("elsewhere", asked, 0)
    office.settle()
    assert not office.head_end.connected(factory.esn)
    assert office.store.number("SELECT count(*) FROM meters WHERE registered_s != 0") == 0


def test_anything_else_with_a_wrong_stamp_is_refused_in_clear() -> None:
    _, told = ask(Office(), encode_request(FullRead(1)))
    assert told is None, "a refusal in clear is a hint, and no answer"
