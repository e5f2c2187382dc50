"""Any past moment, and what changed between two."""

import re
import time

import pytest

from safetytwin.models.process import Process

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect


@pytest.fixture(scope="module")
def happened(atlas):
    """A process came and a unit failed; both were not so a minute before, and the process is gone now."""
    atlas.look()
    before = time.time()
    time.sleep(1.1)
    atlas.machine.processes.append(Process(pid=888001, start_ticks=7, name="visitor", cmdline=["visitor", "--now"]))
    atlas.machine.failed_units["nginx.service"] = "signal"
    atlas.look()
    during = time.time()
    time.sleep(1.1)
    atlas.machine.processes.clear()
    atlas.look()
    return {"before": before, "during": during}


def _visitor(page):
    return page.locator(".processes .table-row", has_text="visitor")


def _filter(page):
    page.get_by_label("Only processes with these words").fill("visitor")


def test_an_address_with_a_moment_shows_that_moment_and_l_returns(happened, watch, picture):
    page = watch(f"/hosts/atlas?at={happened['during']:.3f}").page
    expect(page.locator(".past-banner strong")).to_have_text(
        re.compile(r"^as it was on \w{3} \d+ \w{3} \d\d:\d\d:\d\d$")
    )
    _filter(page)
    expect(_visitor(page)).to_be_visible()
    picture(page, "past")
    page.locator("h1").click()
    page.keyboard.press("l")
    expect(page.locator(".past-banner")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/hosts/atlas$"))
    expect(page.locator(".head .status")).to_contain_text("live")


def test_links_keep_the_moment(happened, watch):
    page = watch(f"/hosts/atlas?at={happened['during']:.3f}").page
    _filter(page)
    _visitor(page).get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"/processes/888001%2F7\?at=\d"))
    expect(page.locator("article .command")).to_have_text("visitor --now")
    page.keyboard.press("l")
    expect(page.locator("#main")).to_contain_text("This process is not there now.")


def test_dragging_the_handle_back_shows_the_past(happened, watch):
    page = watch("/hosts/atlas").page
    track = page.locator(".track").bounding_box()
    handle = page.get_by_role("slider", name="Moment shown")
    expect(handle).to_have_attribute("aria-valuetext", "live")
    y = track["y"] + 14
    page.mouse.move(track["x"] + track["width"] - 1, y)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.98, y, steps=5)
    expect(page.locator(".past-banner strong")).to_contain_text("as it was on")
    page.mouse.up()
    expect(handle).not_to_have_attribute("aria-valuetext", "live")
    expect(page).to_have_url(re.compile(r"\?at=\d+"))
    page.get_by_role("button", name="back to live").click()
    expect(handle).to_have_attribute("aria-valuetext", "live")


def test_a_moment_can_be_typed_and_what_is_none_is_said(happened, watch):
    page = watch("/hosts/atlas").page
    box = page.get_by_label(re.compile("Go to a moment"))
    box.fill("the day before")
    box.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Not understood. Try: 14:00, yesterday 14:00")
    box.fill("10 minutes ago")
    box.press("Enter")
    expect(page.locator(".past-banner")).to_contain_text("10 min ago")
    at = float(re.search(r"at=([\d.]+)", page.url)[1])
    assert abs(at - (time.time() - 600)) < 30


def test_a_moment_before_the_first_look_is_a_designed_state(happened, watch):
    watched = watch("/hosts/atlas?at=1000000000")
    watched.expected = ("404",)
    expect(watched.page.locator(".notice")).to_contain_text("There is no look of that moment.")
    watched.page.get_by_role("button", name="Back to live").click()
    expect(watched.page.locator("h1")).to_have_text("atlas")


def test_keys_go_through_events_and_time(happened, watch):
    page = watch("/hosts/atlas").page
    expect(page.locator(".mark.warning")).not_to_have_count(0)
    page.keyboard.press("[")
    expect(page.locator(".past-banner strong")).to_be_visible()
    first = page.url
    page.keyboard.press("ArrowLeft")
    expect(page).not_to_have_url(first)
    page.keyboard.press("l")
    expect(page).to_have_url(re.compile(r"/hosts/atlas$"))


def test_compare_says_what_changed_grouped_by_kind(happened, watch, picture):
    page = watch(f"/hosts/atlas/compare?from={happened['before']:.3f}&to={happened['during']:.3f}").page
    body = page.locator(".compare .scroll")
    expect(body.locator("section", has_text="What happened")).to_contain_text("nginx.service failed")
    processes = body.locator("section", has=page.get_by_role("heading", name="Processes"))
    expect(processes.locator("li.added")).to_contain_text("visitor 888001")
    services = body.locator("section", has=page.get_by_role("heading", name="Services and containers"))
    expect(services.locator("li.added")).to_contain_text("nginx.service")
    expect(page.get_by_role("slider", name="Compare from")).to_be_visible()
    picture(page, "compare")
    page.get_by_role("button", name="24 h").click()
    expect(body).to_contain_text("The record begins")


def test_events_can_be_filtered_and_lead_to_their_moment(happened, watch, picture):
    page = watch("/hosts/atlas/events").page
    lines = page.locator(".event")
    expect(lines.filter(has_text="nginx.service failed: signal")).to_be_visible()
    page.get_by_label("Kind").select_option("host.*")
    expect(lines.filter(has_text="atlas is seen for the first time")).to_be_visible()
    expect(lines.filter(has_text="nginx")).to_have_count(0)
    page.get_by_label("Kind").select_option("")
    page.get_by_label("Severity").select_option("warning")
    expect(lines.filter(has_text="seen for the first time")).to_have_count(0)
    picture(page, "events")
    lines.filter(has_text="nginx.service failed").first.get_by_role("link").last.click()
    expect(page).to_have_url(re.compile(r"/hosts/atlas/services/systemd%2Fnginx\.service\?at=\d+"))
    expect(page.locator("article h2")).to_contain_text("nginx.service")
