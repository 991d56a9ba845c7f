"""``smartmeter tms run``: what it refuses, in one line with the place, and what its options do."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from protocols.c1222.ap_title import ApTitle
from protocols.c1222.node import Node, ResponseArrived
from protocols.c1222.security import EaxPrime
from protocols.c1222.services import IDENTIFY
from smartmeter.base.clock import Calendar, wall_utc_us
from smartmeter.base.errors import SettingsError
from smartmeter.cli import group
from smartmeter.cli.state_folder import claim
from smartmeter.tms.service import Service
from tests.ports import free_port
from tests.protocols.c1222.conversation import Ring
from tests.smartmeter.cli.served import running, smartmeter
from tests.smartmeter.tms.running import running_tms


def test_two_head_ends_do_not_share_a_folder(tmp_path: Path) -> None:
    claim(tmp_path)
    run = ("tms", "run", "--data", str(tmp_path), "--listen", "127.0.0.1:0", "--web", "off")
    done = smartmeter(*run, timeout=60)
    assert done.returncode == 1
    assert done.stderr == (
        f"smartmeter: {tmp_path}: another process keeps its state there;"
        " stop it, or give another folder\n"
    )
    assert not list(tmp_path.iterdir()), "nothing was written"


@pytest.mark.parametrize(
    "options",
    [
        ("--call", "udp:h:1"),
        ("--mqtt", "mqtt:h"),
        ("--metrics", "h"),
        ("--modem", "/dev/nothing-here"),
        ("--sms", "modem", "--modem", "modem"),
        ("--listen", "h"),
        ("--listen", "192.0.2.1:0"),  # of no computer
    ],
    ids=lambda options: options[0],
)
@pytest.mark.parametrize("verb", [("tms", "run"), ("relay", "run", "--master", ".7")])
def test_a_wrong_way_to_reach_it_is_told_before_anything_is_made(
    verb: tuple[str, ...], options: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    done = CliRunner().invoke(group, (*verb, "--data", str(folder), *options))
    assert isinstance(done.exception, SettingsError), done.output
    assert not folder.exists() and not done.output


def test_an_address_that_two_options_name_is_told_before_anything_is_made(tmp_path: Path) -> None:
    folder, twice = tmp_path / "data", f"127.0.0.1:{free_port()}"
    for first, second in (("--listen", "--web"), ("--web", "--metrics")):
        run = ("tms", "run", "--data", str(folder), "--listen", "127.0.0.1:0")
        done = CliRunner().invoke(group, (*run, first, twice, second, twice))
        assert f"{second} {twice}: is that of {first}" in str(done.exception)
        assert not folder.exists() and not done.output


def test_a_port_that_two_options_name_in_two_ways_is_told_before_anything_is_made(
    tmp_path: Path,
) -> None:
    folder, port = tmp_path / "data", free_port()
    own = ("--listen", f"127.0.0.1:{port}", "--metrics", f"0.0.0.0:{port}")
    for verb in (("tms", "run"), ("relay", "run", "--master", ".7")):
        done = CliRunner().invoke(group, (*verb, "--data", str(folder), *own))
        assert f"--metrics 0.0.0.0:{port}: cannot listen" in str(done.exception)
        assert not folder.exists() and not done.output


def test_no_password_is_shown_for_a_page_that_cannot_be_had(tmp_path: Path) -> None:
    port = free_port()
    run = ("tms", "run", "--data", str(tmp_path), "--listen", f"127.0.0.1:{port}")
    done = CliRunner().invoke(group, (*run, "--web", f"localhost:{port}"))
    assert isinstance(done.exception, SettingsError)
    assert "cannot listen" in str(done.exception) and "password" not in done.output


def test_a_relay_with_a_wrong_name_or_way_up_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for words in (("--title", "x"), ("--upstream", "telegraph:h")):
        up = () if words[0] == "--upstream" else ("--upstream", "tcp:h:1")
        done = CliRunner().invoke(group, ("relay", "run", "--data", str(folder), *words, *up))
        assert isinstance(done.exception, SettingsError), done.output
        assert not folder.exists()


async def test_an_old_list_of_polled_meters_brings_none_back_that_was_removed_and_replaced(
    tmp_path: Path,
) -> None:
    listed = "esn,address,user_id,password,model\n"
    for number in (1, 2, 3):
        listed += f"P{number},socket://127.0.0.1:{number},2,secret,kV\n"
    (tmp_path / "plain.csv").write_text(listed)
    async with running_tms(tmp_path / "data") as tms:
        service = Service(tms)
        await service.enter_polled(listed)
        service.replace("P1", "P2", "ann")
        for gone in ("P1", "P3"):
            service.remove_polled(gone)
    run = ("tms", "run", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    with running(*run, "--web", "off", "--poll", str(tmp_path / "plain.csv")) as (told, _):
        assert told["1"] == "of", "P3 is entered as anew"
    async with running_tms(tmp_path / "data") as tms:
        service = Service(tms)
        assert [one["esn"] for one in service.polled()] == ["P2", "P3"]
        assert [one["esn"] for one in service.meter("P2")["place"]] == ["P2", "P1"]
        await service.enter_polled(listed)
        assert service.meter("P1")["replaced_by"] == "", "a person may enter it all the same"


def test_what_it_says_over_udp_goes_in_segments_of_the_size_that_it_was_told(
    tmp_path: Path,
) -> None:
    most, title, key = 300, ".7.1", bytes(range(16))
    shipment = tmp_path / "shipment.csv"
    shipment.write_text(f"esn,title,key,model\nSM1,{title},{key.hex()},m\n")
    run = ("tms", "run", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    run += ("--web", "off", "--shipment", str(shipment), "--segment", str(most))
    with running(*run) as (told, _):
        port = int(told["ready"].rpartition(":")[2])
        node = Node(ApTitle.parse(title), Ring({0: EaxPrime(key)}), Calendar(wall_utc_us()))
        node.joins_segments = True
        node.request([bytes([IDENTIFY])] * 60, ApTitle.parse(".1"), "tms", 0, key_id=0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(60)
            peer.connect(("127.0.0.1", port))
            for _, octets in node.outgoing():
                peer.send(octets)
            sizes, answers = [], []
            while not answers:
                datagram = peer.recv(65_536)
                sizes.append(len(datagram))
                node.receive("tms", datagram, 0)
                answers = [one for one in node.events() if isinstance(one, ResponseArrived)]
        assert len(answers[0].responses) == 60
        assert len(sizes) > 1 and max(sizes) <= most
