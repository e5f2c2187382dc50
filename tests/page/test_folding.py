"""The twin in the browser is the twin of the bridge: the same changes make the same state, to the last field."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from parts.states import pairs_of_states
from safetytwin.changes.diff import diff, tree_of
from safetytwin.changes.trees import normal
from safetytwin.changes.twin import apply
from safetytwin.models.quantities import duration, percent, size
from safetytwin.models.timestamps import seconds_of

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

FOLD = """async ([before, change]) => {
  const { loadFields } = await import("/static/js/fields.js");
  const { Twin } = await import("/static/js/twin.js");
  await (window.fieldsLoaded ??= loadFields());
  const twin = new Twin(JSON.parse(before));
  twin.apply(JSON.parse(change));
  const put = (tree, [step, ...further], value) =>
    ({ ...tree, [step]: further.length > 0 ? put(tree[step], further, value) : value });
  const gpu = "hardware.gpu.";
  let whole = twin.rest;
  for (const path of twin.items.keys()) {
    const steps = path.startsWith(gpu) ? ["hardware", "gpu", path.slice(gpu.length)] : path.split(".");
    whole = put(whole, steps, twin.list(path));
  }
  return JSON.stringify(whole);
}"""


@pytest.fixture(scope="module")
def page(browser, bridge):
    context = browser.new_context()
    page = context.new_page()
    page.goto(bridge + "/static/favicon.svg")
    yield page
    context.close()


def test_folding_a_change_gives_what_python_gives(page):
    # Without shrinking: each example is a trip to the browser.
    @settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(pair=pairs_of_states())
    def fold(pair):
        old, new = pair
        change = diff(old, new)
        before = normal(tree_of(old))
        after = normal(apply(before, change))
        arguments = [msgspec.json.encode(one).decode() for one in (before, change)]
        assert json.loads(page.evaluate(FOLD, arguments), parse_int=_number) == after

    fold()


def _number(text):
    """Read what JavaScript writes without an exponent though it is no exact integer."""
    return int(text) if abs(int(text)) <= 2**53 else float(text)


def test_a_field_named_like_a_prototype_is_a_field_like_any_other(page):
    result = page.evaluate(
        """async () => {
          const { merged } = await import("/static/js/twin.js");
          const patch = '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"x": 1}}}';
          const result = merged({}, JSON.parse(patch));
          return [JSON.stringify(result), ({}).polluted ?? null, ({}).x ?? null];
        }"""
    )
    assert json.loads(result[0]) == {"__proto__": {"polluted": 1}, "constructor": {"prototype": {"x": 1}}}
    assert result[1:] == [None, None]


def test_amounts_look_as_on_the_terminal(page):
    amounts = [None, 0, 1, 999, 1023, 1024, 1536, 9.9 * 1024, 123456789, 5 * 2**40, 2**62]
    shown = page.evaluate(
        """async (amounts) => {
          const { size, percent, duration } = await import("/static/js/format.js");
          return amounts.map((one) => [size(one), percent(one), duration(one)]);
        }""",
        amounts,
    )
    assert shown == [[size(one), percent(one), duration(one)] for one in amounts]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("now", "live"),
        ("live", "live"),
        ("2 hours ago", "2026-03-11T10:30:00Z"),
        ("an hour ago", "2026-03-11T11:30:00Z"),
        ("-30m", "2026-03-11T12:00:00Z"),
        ("14:00", "2026-03-10T14:00:00Z"),
        ("12:15", "2026-03-11T12:15:00Z"),
        ("yesterday 14:00", "2026-03-10T14:00:00Z"),
        ("today 9:05", "2026-03-11T09:05:00Z"),
        ("monday 9:30", "2026-03-09T09:30:00Z"),
        ("24 nov 02:13", "2025-11-24T02:13:00Z"),
        ("Tue 24 Nov 2025 02:13:10", "2025-11-24T02:13:10Z"),
        ("2026-01-31 14:00", "2026-01-31T14:00:00Z"),
        ("2026-01-31T14:00:00+02:00", "2026-01-31T12:00:00Z"),
        ("31 feb", None),
        ("25:00", None),
        ("5 parsecs ago", None),
        ("", None),
    ],
)
def test_moments_are_read_as_people_write_them(browser, bridge, moments_page, typed, meant):
    expected = meant if meant in {None, "live"} else seconds_of(meant)
    now = seconds_of("2026-03-11T12:30:00Z")
    read = moments_page.evaluate(
        """async ([typed, now]) => (await import("/static/js/moments.js")).parseMoment(typed, now)""", [typed, now]
    )
    assert read == expected


@pytest.fixture(scope="module")
def moments_page(browser, bridge):
    context = browser.new_context(timezone_id="UTC")
    page = context.new_page()
    page.goto(bridge + "/static/favicon.svg")
    yield page
    context.close()
