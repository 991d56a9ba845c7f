"""What a device may lack or say differently is an option of the server."""

from random import Random

from protocols.c1218.client import Client, ScriptDone
from protocols.c1218.scripts import LogonSettings, open_session
from protocols.c1218.server import Server, ServerOptions
from protocols.psem.codes import ResponseCode
from protocols.psem.services import Negotiate, Security
from tests.protocols.c1218.line import Line, Tables


def opened(options: ServerOptions) -> tuple[ScriptDone, Client]:
    client = Client()
    line = Line(client, Server(Tables({0: bytes(20)}), options), Random(1))
    done = line.run(open_session(LogonSettings(password=b"secret")))
    assert isinstance(done, ScriptDone), done
    return done, client


def test_an_identification_may_carry_more_than_its_version() -> None:
    features = bytes.fromhex("00020006040a0b0c0d00")
    done, _ = opened(ServerOptions(identification=features))
    assert done.result.identification == features


def test_a_device_may_lack_services_and_sessions_open_all_the_same() -> None:
    refusals = {Negotiate: ResponseCode.sns, Security: ResponseCode.sns}
    done, client = opened(ServerOptions(refusals=refusals))
    assert done.result.password_accepted is None
    assert (client.limits.packet_octets, client.limits.packets) == (64, 1)
