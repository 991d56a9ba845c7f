"""By which path a SmartMeter can be answered, against a plain dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartmeter.tms.paths import Paths

ESNS, PATHS = ("a", "b", "c"), ("tcp 1", "tcp 2", "a relay")
STEPS = st.one_of(
    st.tuples(
        st.sampled_from(("heard", "answered", "unanswered", "found")),
        st.sampled_from(ESNS),
        st.sampled_from(PATHS),
    ),
    st.tuples(st.just("forget"), st.sampled_from(ESNS), st.just("")),
    st.tuples(st.just("closed"), st.just(""), st.sampled_from(PATHS)),
)


@given(st.lists(STEPS, max_size=30))
def test_the_path_that_was_used_last_counts_and_one_that_is_doubted_takes_turns(
    steps: list[tuple[str, str, str]],
) -> None:
    paths, known, doubted = Paths(), {esn: list[str]() for esn in ESNS}, set[str]()
    for step, esn, path in steps:
        of = known.get(esn, [])
        match step:
            case "heard":
                assert paths.heard(esn, path) == (of[:1] != [path])
            case "closed":
                assert paths.closed(path) == {one for one in ESNS if known[one][:1] == [path]}
                doubted -= {one for one in ESNS if known[one][:1] == [path]}
                known = {one: [way for way in ways if way != path] for one, ways in known.items()}
            case "forget":
                paths.forget(esn)
            case "answered":
                paths.answered(esn, path)
            case "unanswered":
                paths.unanswered(esn, path)
                if of[:1] == [path]:
                    of.reverse()
                    doubted.add(esn)
            case "found":
                assert paths.found(esn, path) == (of[:1] != [path])
                if of and of[0] != path:
                    known[esn] = [path, of[0]]
        is_heard = step in ("heard", "answered") or (step == "found" and not of)
        if step == "forget" or (is_heard and (step != "answered" or path in of)):
            known[esn] = [path] if path else []
            doubted.discard(esn)
        assert [paths.of(one) for one in ESNS] == [[*known[one], None][0] for one in ESNS]
        assert [paths.has_other(one) for one in ESNS] == [len(known[one]) > 1 for one in ESNS]
        assert {one for one in ESNS if paths.is_doubted(one)} == doubted
        assert len(paths) == len([one for one in ESNS if one in paths])
        crowds = [sum(path in ways for ways in known.values()) for path in PATHS]
        assert [paths.crowd(path) for path in PATHS] == crowds
