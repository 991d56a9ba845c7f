"""What ``gateway check`` says of bearers: whether each can be opened, and who carries what."""

import socket
from pathlib import Path

import pytest

from smartmeter.comms.bearer import BearerSettings, When
from smartmeter.comms.tls import TlsFiles
from smartmeter.comms.way import Carries
from smartmeter.gateway import bearer_checks
from smartmeter.gateway.bearer_checks import check_bearer, check_order, check_shared
from tests.ports import free_port
from tests.smartmeter.comms.authority import make_authority, speaking_tls

SMS = BearerSettings("sms", "sms:+15551234@/dev/null", 50, 1072, carries=Carries.URGENT)
TCP = BearerSettings("tcp", "tcp:127.0.0.1:1", 1)


@pytest.mark.parametrize("kind", ["tcp", "mqtt", "listen"])
def test_what_cannot_be_opened_is_wrong_and_says_what_to_do(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        address = f"{kind}:127.0.0.1:{there.getsockname()[1]}"
        [while_there] = check_bearer(BearerSettings("a", address))
    [without] = check_bearer(BearerSettings("a", f"{kind}:127.0.0.1:{free_port()}"))
    wrong, right = (while_there, without) if kind == "listen" else (without, while_there)
    assert wrong.wrong and wrong.remedy and not right.wrong


@pytest.mark.parametrize("kind", ["tls", "mqtts"])
def test_certificates_that_do_not_fit_are_found_before_the_gateway_runs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = make_authority(tmp_path, "own"), make_authority(tmp_path, "other")
    for files, word in (
        (own, "takes connections"),
        (TlsFiles(other.ca, own.certificate, own.key), "not trusted"),
        (TlsFiles(own.ca, other.certificate, other.key), "TLS"),
        (TlsFiles(own.ca), "certificate required"),
    ):
        # A refusal ends the wait, however late it comes; where all fits, the wait goes its length.
        monkeypatch.setattr(bearer_checks, "REFUSAL_S", 0.2 if files is own else 60)
        with speaking_tls(own) as port:
            bearer = BearerSettings("a", f"{kind}:127.0.0.1:{port}", tls=files)
            [finding] = check_bearer(bearer)
        assert finding.wrong is (files is not own) and word in finding.text, finding
        assert bool(finding.remedy) is finding.wrong


@pytest.mark.parametrize(
    ("address", "wrong", "word"),
    [
        ("sms:+15551234@/dev/null", False, "is there"),
        ("modem:5551234@/dev/nothing-here", True, "no such port"),
        ("modem:5551234@rfc2217://h:1", False, "not asked"),
        ("udp:127.0.0.1:1153", False, "only an answer"),
    ],
)
def test_a_modem_and_a_datagram_are_not_tried(address: str, wrong: bool, word: str) -> None:
    [finding] = check_bearer(BearerSettings("a", address))
    assert (finding.wrong, word in finding.text) == (wrong, True), finding


@pytest.mark.parametrize(
    ("address", "node", "told"),
    [
        ("listen:127.0.0.1:1153", "", "is for one meter, and there are 2"),
        ("mqtt:h:1883/c1222", "board", "node board is for one meter, and there are 2"),
        ("mqtt:h:1883/c1222", "", ""),
        ("tcp:h:1153", "board", ""),
    ],
)
def test_what_two_meters_would_take_from_each_other_is_wrong(
    address: str, node: str, told: str
) -> None:
    bearer = BearerSettings("a", address, node=node)
    assert not list(check_shared(bearer, 1))
    found = list(check_shared(bearer, 2))
    assert len(found) == bool(told)
    assert all(one.wrong and one.remedy and told in one.text for one in found)


def test_a_port_at_which_a_gateway_that_runs_listens_is_not_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        bearer = BearerSettings("a", f"listen:127.0.0.1:{there.getsockname()[1]}")
        assert [one.wrong for one in check_bearer(bearer)] == [True]
        assert not list(check_bearer(bearer, runs=True))


def test_the_order_is_told_in_words_the_cheapest_first() -> None:
    finding = check_order([SMS, BearerSettings("mq", "mqtt:h:1", 5, when=When.WANTED), TCP])
    assert not finding.wrong
    assert finding.text == (
        "tcp (cost 1) carries everything; mq (cost 5) carries everything, opened when something"
        " waits; sms (cost 50) carries alarms up to 1072 octets"
    )


def test_nothing_that_carries_the_load_profile_is_wrong() -> None:
    finding = check_order([SMS])
    assert finding.wrong and "load profile" in finding.text
