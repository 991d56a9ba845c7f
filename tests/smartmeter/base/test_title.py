"""Titles as people write them: one node each, and what is none is told with its place."""

import pytest

from smartmeter.base.errors import SettingsError
from smartmeter.base.title import node_title


@pytest.mark.parametrize("text", [".7.42", ".1", "2.16.124.113620.1.22.0.7.42", "1.3.6.1.33507.0"])
def test_a_title_of_one_node_is_read(text: str) -> None:
    assert str(node_title("--title", text)) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x", "is no title"),
        ("", "is no title"),
        (".", "names nobody"),
        (".0", "means many"),
        (".7.0", "means many"),
        (".7.0.9", "means many"),
        ("2.16.124.113620.1.22.0.7.0", "means many"),
        (".7." + "9" * 400, "at most"),
    ],
)
def test_what_names_nobody_or_many_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=rf"--title: .*{told}"):
        node_title("--title", text)
