"""The correction page: bands as wide as their shares, and a page that loads nothing."""

import math
from xml.etree import ElementTree

import pytest

from mmevolve.report.turns_flow import GAP, HIGH, TOP, bands, flow
from mmevolve.report.turns_page import Place, ends, lines, page, shown


def test_bands_leave_and_arrive_without_gaps_or_overlaps():
    kept, broken, fixed, stuck = bands(0.4, 0.2, 0.1, 0.3)
    assert [b.high for b in (kept, broken, fixed, stuck)] == pytest.approx([HIGH * s for s in (0.4, 0.2, 0.1, 0.3)])
    assert kept.start == kept.end == TOP
    assert broken.start == pytest.approx(kept.start + kept.high)
    assert fixed.start == pytest.approx(broken.start + broken.high + GAP)
    assert stuck.start == pytest.approx(fixed.start + fixed.high)
    assert fixed.end == pytest.approx(kept.end + kept.high), "what is right after: kept, then fixed"
    assert broken.end == pytest.approx(fixed.end + fixed.high + GAP)
    assert stuck.end == pytest.approx(broken.end + broken.high)
    assert stuck.start + stuck.high == pytest.approx(stuck.end + stuck.high) == pytest.approx(TOP + HIGH + GAP)


def test_the_drawing_is_xml_with_a_title_and_no_band_of_nothing():
    tree = ElementTree.fromstring(flow(0.5, 0.0, 0.02, 0.48))
    kinds = [e.get("class") for e in tree.iter() if "flow" in (e.get("class") or "")]
    assert kinds == ["flow way-kept", "flow way-stuck", "flow way-fixed"]
    words = [e.text for e in tree.iter() if e.get("class") == "on"]
    assert words == ["kept 50.0 %", "stuck 48.0 %"], "a thin band has no words"
    assert "fixed 2.0 percent" in tree.get("aria-label")
    assert len([e for e in tree.iter() if "block" in (e.get("class") or "")]) == 4


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5, 0.0), (1.2, -0.2, 0.0, 0.0), (math.nan, 0, 0, 1)])
def test_shares_that_are_none_are_a_sentence(shares):
    with pytest.raises(ValueError, match="expected four from 0 to 1 that sum to 1"):
        bands(*shares)


def test_a_page_of_arms_alone_and_hostile_names():
    numbers = {"feedback/acc_first": 0.5}
    for arm in ("resample", "all_wrong"):
        numbers |= {f"feedback/acc_{arm}": 0.75, f"feedback/attempts_{arm}": 1.5, f"feedback/told_{arm}": 1.0}
    for key in ("effect", "content_effect"):
        numbers |= {f"feedback/{key}": math.nan, f"feedback/{key}_low": math.nan, f"feedback/{key}_high": math.nan}
    place = Place("<script>x", numbers, ("a & b",))
    html = page("run<b>", [place], ["<i>"])
    assert "<script>" not in html and "run<b>" not in html and "<i>." not in html
    assert "&lt;script&gt;x" in html and "a &amp; b" in html and "all wrong</td><td>0.750" in html
    assert "http" not in html.replace("http-equiv", ""), "nothing is loaded"
    assert page("run<b>", [place], ["<i>"]) == html
    assert any("right, all_wrong" in line for line in lines([place]))


def test_numbers_are_shown_with_three_digits_or_a_dash():
    assert (shown(0.12345), shown(math.nan)) == ("0.123", "-")
    assert ends({"x_low": -0.1, "x_high": 0.2}, "x") == "[-0.100, 0.200]"
    assert ends({"x_low": -math.inf, "x_high": math.inf}, "x") == ends({}, "x") == ""
