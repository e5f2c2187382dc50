"""Narrow and wide, dark and light, on paper: readable everywhere."""

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

CONTRAST = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (colour) => colour.slice(0, 3).map((c) => linear(c / 255))
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = channels(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("#app *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("svg, .u-legend, [disabled]") || !element.checkVisibility()) continue;
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const name = `${element.className || element.nodeName} ${element.innerText.slice(0, 30)}`;
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(name);
  }
  return [...new Set(poor)];
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_enough_contrast_now_and_in_the_past(atlas, watch, picture, scheme):
    watched = watch("/hosts/atlas", color_scheme=scheme, reduced_motion="reduce")
    page = watched.page
    expect(page.locator(".table-row").first).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    picture(page, f"machine-{scheme}")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".past-banner")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    watched.open("/hosts/atlas/workloads/41200%2F900100")
    expect(page.locator("article h2")).to_be_visible()
    assert page.evaluate(CONTRAST) == []


def test_the_theme_can_be_chosen_and_is_kept(atlas, watch):
    page = watch("/hosts/atlas", color_scheme="light").page
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    before = page.evaluate(ground)
    page.get_by_role("button", name="Colours: system").click()
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert page.evaluate(ground) != before
    page.reload()
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert page.evaluate(ground) != before


def test_at_360_pixels_all_is_in_one_column(atlas, watch, picture):
    watched = watch("/hosts/atlas", viewport={"width": 360, "height": 740})
    page = watched.page
    expect(page.locator(".workload").first).to_be_visible()
    picture(page, "narrow")
    page.locator(".columns").scroll_into_view_if_needed()
    picture(page, "narrow-lists")
    sides = page.eval_on_selector_all(".columns > *", "all => all.map((one) => one.getBoundingClientRect().left)")
    assert len(set(sides)) == 1
    for path in ("", "/processes", "/events", "/compare", "/charts", "/agent", "/workloads/41200%2F900100", "/gpus"):
        watched.open(f"/hosts/atlas{path}")
        expect(page.locator("h1")).to_have_text("atlas")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        expect(
            page.get_by_role("slider", name="Moment shown" if path != "/compare" else "Compare to")
        ).to_be_in_viewport()


def test_on_paper_there_are_no_controls(atlas, watch, picture):
    page = watch("/hosts/atlas").page
    expect(page.locator(".workload").first).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator(".timebar")).not_to_be_visible()
    expect(page.locator(".search")).not_to_be_visible()
    expect(page.locator(".workload").first).to_be_visible()
    expect(page.locator("h1")).to_be_visible()
    picture(page, "print")
