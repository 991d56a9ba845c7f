"""``HOST:PORT`` as people write it."""

import pytest

from smartmeter.base.address import host_port, listening_place, shown
from smartmeter.base.errors import SettingsError


@pytest.mark.parametrize("text", ["h:1", "127.0.0.1:1153", "[::1]:1153", "[fe80::1%eth0]:65535"])
def test_what_is_read_is_shown_as_it_was(text: str) -> None:
    assert shown(*host_port("--listen", text, "h:1")) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        ":1",
        "h:",
        "h:x",
        "h:65536",
        "h:-1",
        "::1:1153",
        "[]:5",
        "h:٣",
        "[::1]",
        "a:b:1",
        "a..b:1",
        "a" * 64 + ":1",
    ],
)
def test_what_is_none_is_refused_with_how_it_is_written(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        host_port("--listen", text, "127.0.0.1:1153")
    assert "127.0.0.1:1153" in caught.value.remedy


def test_a_star_is_every_address_where_we_listen_and_no_host_to_call() -> None:
    assert listening_place("--listen", "*:1153", "127.0.0.1:1153") == ("::", 1153)
    assert listening_place("--listen", "h:1153", "127.0.0.1:1153") == ("h", 1153)
    with pytest.raises(SettingsError):
        host_port("--upstream", "*:1153", "h:1")
    with pytest.raises(SettingsError, match=r"'\*:x' is not HOST:PORT"):
        listening_place("--listen", "*:x", "127.0.0.1:1153")
