"""Everything can be reached without a mouse, and says what it is to those who do not see it."""

import re

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect


def test_j_and_k_move_enter_opens_escape_goes_back(atlas, watch):
    page = watch("/hosts/atlas/processes").page
    rows = page.locator(".table-row")
    expect(rows.first).to_be_visible()
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    active = page.locator(".table-row.active")
    expect(active).to_have_attribute("aria-rowindex", "3")
    name = active.locator("a").inner_text()
    expect(active.locator("a")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("article h2")).to_contain_text(name)
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/hosts/atlas/processes$"))
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/hosts/atlas$"))


def test_the_list_of_keys_opens_and_closes(atlas, watch):
    page = watch("/hosts/atlas").page
    expect(page.locator("h1")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("next and previous row")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_time_bar_is_a_slider(atlas, watch):
    page = watch("/hosts/atlas").page
    slider = page.get_by_role("slider", name="Moment shown")
    slider.focus()
    slider.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"\d\d:\d\d:\d\d$"))
    expect(slider).to_be_focused()
    slider.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "live")


def test_keys_that_are_typed_into_a_field_are_text(atlas, watch):
    page = watch("/hosts/atlas").page
    field = page.get_by_label("Only processes with these words")
    field.fill("")
    field.press_sequentially("jl?/[")
    expect(field).to_have_value("jl?/[")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_every_control_has_a_name_and_focus_is_seen(atlas, watch):
    page = watch("/hosts/atlas").page
    expect(page.locator(".table-row").first).to_be_visible()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a[href], [role=slider], [role=meter]")]
            .filter((one) => !(one.getAttribute("aria-label") || one.innerText?.trim() || one.labels?.length))
            .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_pointer_that_rests_on_the_rows_holds_their_order(atlas, watch):
    from safetytwin.models.process import Process

    page = watch("/hosts/atlas/processes").page
    first = page.locator('.table-row[aria-rowindex="2"]')
    expect(first).to_contain_text("python3")
    page.locator('.table-row[aria-rowindex="6"]').hover()
    expect(page.locator(".held")).to_have_text("order held")
    atlas.machine.processes.append(Process(pid=777002, start_ticks=5, name="busiest", cpu_percent=3100.0))
    atlas.look()
    page.get_by_label("Only processes with these words")
    expect(page.locator(".panel-head .count")).to_contain_text(str(len(atlas.look_shown().processes)))
    expect(first).to_contain_text("python3")
    page.mouse.move(5, 5)
    expect(first).to_contain_text("busiest")
    atlas.machine.processes.clear()
    atlas.look()
