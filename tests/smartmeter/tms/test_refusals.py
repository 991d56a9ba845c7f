"""Refusals are counted by title and reason, and only strangers are listed as unknown devices."""

from smartmeter.simulation.memory_store import MemoryStore
from smartmeter.tms.refusals import MAX_KINDS, Refusals


def _stored(refusals: Refusals) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    """Write what was counted into a store; give its refusals and its unknown devices."""
    store = MemoryStore()
    change = refusals.take(1000)
    if change is not None:
        store.write_now(change)
    events = store.read("SELECT title, reason, count FROM security_events")
    unknown = store.read("SELECT title, count FROM unknown_devices")
    return (
        {(row["title"], row["reason"]): row["count"] for row in events},
        {row["title"]: row["count"] for row in unknown},
    )


def test_a_stranger_is_listed_and_one_that_is_known_or_has_no_title_is_not() -> None:
    refusals = Refusals()
    refusals.note(".7.1", "mac-mismatch")
    for _ in range(3):
        refusals.note(".7.2", "no-such-key", unknown=True)
    refusals.note("", "not-an-apdu", unknown=True)
    events, unknown = _stored(refusals)
    assert events == {
        (".7.1", "mac-mismatch"): 1,
        (".7.2", "no-such-key"): 3,
        ("", "not-an-apdu"): 1,
    }
    assert unknown == {".7.2": 3}


def test_what_was_taken_is_not_counted_again() -> None:
    refusals = Refusals()
    refusals.note(".7.1", "mac-mismatch")
    assert refusals.take(1000) is not None
    assert refusals.take(1000) is None
    refusals.stored(well=True)
    assert refusals.take(1000) is None


def test_what_could_not_be_stored_is_counted_with_what_came_meanwhile() -> None:
    refusals = Refusals()
    refusals.note(".7.1", "mac-mismatch")
    refusals.take(1000)
    for _ in range(2):
        refusals.note(".7.1", "mac-mismatch")
    assert refusals.take(1001) is None, "one is being made"
    refusals.stored(well=False)
    assert _stored(refusals)[0] == {(".7.1", "mac-mismatch"): 3}


def test_more_kinds_than_are_told_apart_count_as_of_nobody() -> None:
    refusals = Refusals()
    for number in range(MAX_KINDS + 5):
        refusals.note(f".7.{number}", "no-such-key", unknown=True)
    refusals.note(".7.0", "no-such-key", unknown=True)
    events, unknown = _stored(refusals)
    assert len(unknown) == MAX_KINDS and unknown[".7.0"] == 2
    assert events["", "of many titles"] == 5
