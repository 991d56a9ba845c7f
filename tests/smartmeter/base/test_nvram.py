"""The in-memory form of non-volatile memory."""

import pytest

from smartmeter.base.errors import StorageError
from smartmeter.base.nvram import MAX_PAGE_OCTETS, MemoryNvram


def test_a_commit_writes_and_removes_pages_as_one() -> None:
    memory = MemoryNvram({"a": b"1", "b": b"2"})
    memory.commit({"a": None, "c": b"3"})
    assert memory.get("a") is None
    assert list(memory.names()) == ["b", "c"]
    assert list(memory.names("c")) == ["c"]


@pytest.mark.parametrize(
    "name, page", [("", b""), ("x" * 65, b""), ("a", bytes(MAX_PAGE_OCTETS + 1))]
)
def test_a_page_outside_the_limits_changes_nothing(name: str, page: bytes) -> None:
    memory = MemoryNvram()
    with pytest.raises(StorageError):
        memory.commit({"good": b"1", name: page})
    assert list(memory.names()) == []
