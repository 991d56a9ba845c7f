"""Files that a person gives: also as editors on Windows write them, with a mark in front."""

from pathlib import Path

from ansi_tables import Snapshot
from smartmeter.base.file import read_password
from smartmeter.cli.esn_list import named_esns
from smartmeter.cli.image_file import read_image
from smartmeter.cli.known_keys import read_keys

MARK = "\ufeff"


def test_the_mark_that_an_editor_puts_before_a_text_is_no_part_of_it(tmp_path: Path) -> None:
    file = tmp_path / "given"
    file.write_bytes(f"{MARK}SM000001\r\nSM000002\r\n".encode())
    assert named_esns(("SM9",), str(file)) == ("SM9", "SM000001", "SM000002")
    file.write_bytes(f"{MARK}0={16 * '0f'}\r\n".encode())
    assert set(read_keys((), str(file)).by_id) == {0}
    file.write_bytes(f"{MARK}a password\r\n".encode())
    assert read_password(file) == "a password"
    file.write_bytes(f"{MARK}{Snapshot({1: bytes(32)}).to_json()}".encode())
    assert read_image(str(file)).images == {1: bytes(32)}
