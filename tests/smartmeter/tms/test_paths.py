"""By which path a SmartMeter can be answered, against a plain dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartmeter.tms.paths import Paths

ESNS, PATHS = ("a", "b", "c"), ("tcp 1", "tcp 2", "a relay")
STEPS = st.one_of(
    st.tuples(
        st.sampled_from(("heard", "answered", "unanswered", "found")),
        st.tuples(st.sampled_from(ESNS), st.sampled_from(PATHS)),
    ),
    st.tuples(st.just("forget"), st.tuples(st.sampled_from(ESNS))),
    st.tuples(st.just("closed"), st.tuples(st.sampled_from(PATHS))),
)


class PlainPaths:
    """The same as a list for each SmartMeter: the path in use, then the one that takes turns."""

    def __init__(self) -> None:
        self.ways: dict[str, list[str]] = {esn: [] for esn in ESNS}
        self.doubted: set[str] = set()

    def heard(self, esn: str, path: str) -> bool:
        is_new = self.ways[esn][:1] != [path]
        self.ways[esn] = [path]
        self.doubted.discard(esn)
        return is_new

    def answered(self, esn: str, path: str) -> None:
        if path in self.ways[esn]:
            self.heard(esn, path)

    def unanswered(self, esn: str, path: str) -> None:
        if self.ways[esn][:1] == [path]:
            self.ways[esn].reverse()
            self.doubted.add(esn)

    def found(self, esn: str, path: str) -> bool:
        before = self.ways[esn][:1]
        if not before:
            return self.heard(esn, path)
        if before != [path]:
            self.ways[esn] = [path, *before]
        return before != [path]

    def forget(self, esn: str) -> None:
        self.ways[esn] = []
        self.doubted.discard(esn)

    def closed(self, path: str) -> set[str]:
        reached = {esn for esn in ESNS if self.ways[esn][:1] == [path]}
        self.doubted -= reached
        self.ways = {esn: [way for way in ways if way != path] for esn, ways in self.ways.items()}
        return reached


@given(st.lists(STEPS, max_size=30))
def test_the_path_that_was_used_last_counts_and_one_that_is_doubted_takes_turns(
    steps: list[tuple[str, tuple[str, ...]]],
) -> None:
    paths, plain = Paths(), PlainPaths()
    for step, arguments in steps:
        assert getattr(paths, step)(*arguments) == getattr(plain, step)(*arguments)
        for esn, ways in plain.ways.items():
            assert paths.of(esn) == (ways[0] if ways else None)
            assert (esn in paths) == bool(ways)
            assert paths.has_other(esn) == (len(ways) > 1)
            assert paths.is_doubted(esn) == (esn in plain.doubted)
        assert len(paths) == sum(map(bool, plain.ways.values()))
        for path in PATHS:
            assert paths.crowd(path) == sum(path in ways for ways in plain.ways.values())
