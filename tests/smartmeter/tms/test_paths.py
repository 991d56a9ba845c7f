"""By which path a SmartMeter can be answered, against a plain dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartmeter.tms.paths import Paths

ESNS, PATHS = ("a", "b", "c"), ("tcp 1", "tcp 2", "a relay")
STEPS = st.one_of(
    st.tuples(st.just("heard"), st.sampled_from(ESNS), st.sampled_from(PATHS)),
    st.tuples(st.just("forget"), st.sampled_from(ESNS), st.just("")),
    st.tuples(st.just("closed"), st.just(""), st.sampled_from(PATHS)),
)


@given(st.lists(STEPS, max_size=30))
def test_a_smartmeter_has_the_path_it_used_last_until_it_or_the_path_has_gone(
    steps: list[tuple[str, str, str]],
) -> None:
    paths, known = Paths(), dict[str, str]()
    for step, esn, path in steps:
        if step == "heard":
            assert paths.heard(esn, path) == (known.get(esn) != path)
            known[esn] = path
        elif step == "forget":
            paths.forget(esn)
            known.pop(esn, None)
        else:
            behind = {one for one in known if known[one] == path}
            assert paths.closed(path) == behind
            known = {one: way for one, way in known.items() if way != path}
        assert len(paths) == len(known) and all((esn in paths) == (esn in known) for esn in ESNS)
        assert [paths.of(esn) for esn in ESNS] == [known.get(esn) for esn in ESNS]
        crowds = [list(known.values()).count(path) for path in PATHS]
        assert [paths.crowd(path) for path in PATHS] == crowds
