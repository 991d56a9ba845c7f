"""Files that a person gives: also as editors on Windows write them, with a mark in front."""

from pathlib import Path

import pytest

from ansi_tables import Snapshot
from smartmeter.base.errors import SettingsError, StorageError
from smartmeter.base.file import read_password
from smartmeter.cli.esn_list import named_esns
from smartmeter.cli.image_file import read_image
from smartmeter.cli.journal import FileJournal, journal_of
from smartmeter.cli.known_keys import read_keys
from smartmeter.tms.csv_list import read_rows

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


def test_a_list_that_is_too_long_is_told_so_and_not_that_a_row_comes_twice() -> None:
    text = "esn\nSM1\n\nSM2\n"
    assert [cells for _, cells in read_rows(text, "list", ["esn"], 2)] == [["SM1"], ["SM2"]]
    with pytest.raises(SettingsError, match="list, line 4: more than 1 rows"):
        list(read_rows(text, "list", ["esn"], 1))


def test_a_serial_number_that_is_no_name_of_a_file_has_a_journal_in_this_folder() -> None:
    assert journal_of("SM000001") == Path("conformance-SM000001.undo.json")
    assert journal_of("../12/34") == Path("conformance-..%2F12%2F34.undo.json")


@pytest.mark.parametrize("text", ['{"5": ["00"]}', '{"5": 1}', "[]", "{", "[" * 20_000, "\u00e9"])
def test_what_is_no_undo_journal_is_told_with_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "conformance-1.undo.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(StorageError, match=f"{path.name}: no undo journal"):
        FileJournal(path)
    assert path.read_text(encoding="latin-1") == text
