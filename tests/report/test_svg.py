from xml.etree import ElementTree

import pytest

from mmevolve.report.svg import LEFT, RIGHT, WIDTH, Series, bounds, funnel, lines, loop, pairs, scale


def inside(picture: str, kind: str) -> list[ElementTree.Element]:
    """Elements of one class, after parsing the picture as XML."""
    return [e for e in ElementTree.fromstring(picture).iter() if kind in (e.get("class") or "").split()]


def test_a_scale_maps_ends_to_ends_and_the_middle_to_the_middle():
    place = scale(0.2, 0.6, 100, 20)
    assert [round(place(v), 6) for v in (0.2, 0.4, 0.6)] == [100, 60, 20]


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0.33, 0.5], (0.2, 0.6)),  # 0.3 to 0.5 would be too little
        ([0.05], (0.0, 0.3)),
        ([1.0], (0.7, 1.0)),
        ([0.1, 0.9], (0.1, 0.9)),
        ([], (0.0, 1.0)),
    ],
)
def test_axes_end_at_tenths_at_least_three_apart(values, ends):
    low, high = bounds(values)
    assert 0 <= low <= min(values, default=0) and max(values, default=1) <= high <= 1
    assert high - low >= 0.3 - 1e-9
    assert (low, high) == ends


def test_a_line_has_a_point_for_every_value_and_none_for_a_gap():
    picture = lines([Series("a", [0.2, None, 0.8])], ["before", "round 0", "round 1"], title="t")
    points = [tuple(map(float, p.split(","))) for p in inside(picture, "line")[0].get("points").split()]
    step = (WIDTH - LEFT - RIGHT) / 3
    assert [x for x, _ in points] == pytest.approx([LEFT + step / 2, LEFT + 2.5 * step], abs=0.06)
    assert points[0][1] > points[1][1]  # more is higher, and y grows downwards
    assert len(inside(picture, "mark")) == 2
    assert [e.text for e in inside(picture, "value")] == ["20", "80"]


def test_a_band_runs_along_the_upper_ends_and_back_along_the_lower():
    picture = lines([Series("a", [0.4, 0.6], [0.3, 0.5], [0.5, 0.7])], ["x", "y"], title="t")
    ys = [float(p.split(",")[1]) for p in inside(picture, "band")[0].get("points").split()]
    (up0, up1, low1, low0), (y0, y1) = ys, [float(e.get("cy")) for e in inside(picture, "mark")]
    assert up0 < y0 < low0 and up1 < y1 < low1
    assert low0 - y0 == pytest.approx(y0 - up0, abs=0.11)


def test_one_point_with_an_interval_gets_a_whisker():
    picture = lines([Series("a", [0.4], [0.3], [0.5])], ["before"], title="t")
    assert len(inside(picture, "whisker")) == 1 and not inside(picture, "band")


def test_many_labels_are_thinned_out():
    picture = lines([Series("a", [0.5] * 30)], [str(i) for i in range(30)], title="t")
    assert len(inside(picture, "label")) == 6  # every fifth
    assert not inside(picture, "value")


def test_bars_are_as_long_as_their_shares():
    picture = pairs([("count", 0.25, 0.75), ("place", 0.0, 1.0)], title="t")
    before, after = ([float(e.get("width")) for e in inside(picture, kind)] for kind in ("before", "after"))
    whole = float(inside(picture, "track")[0].get("width"))
    assert before == pytest.approx([whole / 4, 0], abs=0.06)
    assert after == pytest.approx([whole * 3 / 4, whole], abs=0.06)


def test_a_funnel_is_as_wide_as_its_counts():
    bars = inside(funnel([("questions", 100), ("attempts", 400), ("kept", 0)], title="t"), "bar")
    wide = [float(b.get("width")) for b in bars]
    assert wide[0] == pytest.approx(wide[1] / 4, abs=0.06)
    assert wide[2] == 2.0  # a sliver, so that nothing is seen to be nothing


def test_text_is_escaped_and_titles_are_there_for_those_who_do_not_see():
    picture = loop({"questions": "<script>&"}) + funnel([("<b>", 1)], title='a "title" <i>')
    assert "<script>" not in picture and "<b>" not in picture and "<i>" not in picture
    assert picture.count("<title>") == 2


def test_an_empty_funnel_is_a_picture_too():
    ElementTree.fromstring(funnel([], title="t"))
