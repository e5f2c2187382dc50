"""The twin that runs, on the page: its shape beside the machine, what differs, and what can be done with it.

The recorder stands in libvirt's place; the bridge, its routes and the browser are real.
"""

import re
import shutil
import time

import httpx
import msgspec
import pytest

from page.test_appearance import CONTRAST
from parts.fed_bridge import fed_bridge
from parts.recorded_twins import create, recorded_twins, stand_in
from parts.shapes import machine
from safetytwin.models.hardware import BlockDevice, Cpu, Interface, Memory
from safetytwin.models.timestamps import timestamp
from safetytwin.vm.driver import DriverAwayError, DriverError
from safetytwin.vm.plan import Line

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")

GIB = 1 << 30
PAGE = "/hosts/host-1/twin"
MARKUP = "<img src=x onerror=alert(1)>\x1b[31m"


def large(**hardware):
    usual = {
        "cpu": Cpu(cores_logical=32, cores_physical=16, sockets=1, architecture="x86_64", model="A CPU"),
        "memory": Memory(total=256 * GIB),
        "block_devices": [BlockDevice("sda", kind="disk", size=1 * GIB)],
    }
    return msgspec.structs.replace(machine(**{**usual, **hardware}), timestamp=timestamp(time.time()))


@pytest.fixture
def twins(tmp_path):
    return recorded_twins(tmp_path)


@pytest.fixture
def url(tmp_path, twins, monkeypatch):
    stand_in(monkeypatch, twins)
    monkeypatch.setattr("safetytwin.vm.service.Twins", lambda driver, files: twins)
    with fed_bridge(tmp_path / "data") as url:
        send(url, large())
        yield url


@pytest.fixture
def made(tmp_path, twins, url):
    create(twins, large(), tmp_path)
    return twins


def send(url, state):
    httpx.post(f"{url}/api/v1/update_state", content=msgspec.json.encode(state)).raise_for_status()


def panel(page, title):
    return page.locator(".vm .panel", has=page.get_by_role("heading", name=re.compile(rf"^{title}( \d+)?$")))


def test_without_a_twin_it_shows_the_plan_and_the_command_that_makes_one(url, watch):
    page = watch("/hosts/host-1", url=url).page
    page.locator(".sections").get_by_role("link", name="twin").click()
    expect(panel(page, "Twin").locator("pre")).to_have_text("safetytwin vm create host-1 --image debian-12.qcow2")
    expect(panel(page, "Plan")).to_contain_text("create domain safetytwin-host-1")
    expect(panel(page, "Shape")).to_contain_text("256 GiB")
    expect(page.locator(".vm").get_by_role("button")).to_have_count(0)


def test_the_shape_says_by_how_much_it_was_scaled_down(made, url, watch):
    page = watch(PAGE, url=url).page
    wanted = made.shape(made.files.needed("host-1"), large())
    vcpus = panel(page, "Shape").get_by_role("row", name=re.compile("^vCPUs"))
    expect(vcpus).to_contain_text(f"{wanted.vcpus}, up to {wanted.topology.vcpus} while it runs")
    expect(vcpus).to_contain_text(f"scaled down to {100 * wanted.vcpus / 32:.0f} %")
    disk = panel(page, "Shape").get_by_role("row", name=re.compile("^disk system"))
    expect(disk).to_contain_text("sda 1.00 GiB")
    interface = panel(page, "Shape").get_by_role("row", name=re.compile("^interface eth0"))
    expect(interface).to_contain_text("192.0.2.7/24")
    for deviation in wanted.deviations:
        expect(panel(page, "Plan")).to_contain_text(deviation.reason)


def test_a_twin_is_stopped_started_snapshotted_rolled_back_and_released(made, url, watch, picture):
    with open(made.files.path("host-1", "console.log"), "w") as console:
        console.write("Debian GNU/Linux 12 atlas ttyS0\natlas login: ")
    page = watch(PAGE, url=url, viewport={"width": 1366, "height": 1100}).page
    twin, snapshots = panel(page, "Twin"), panel(page, "Snapshots")
    expect(page.locator(".vm-console")).to_contain_text("atlas login:")
    expect(twin).to_contain_text("of at most 64.0 GiB")
    twin.get_by_role("button", name="stop", exact=True).click()
    expect(twin).to_contain_text("stopped")
    assert not made.driver.running("safetytwin-host-1")
    expect(twin.get_by_role("button", name="restart")).to_be_disabled()
    twin.get_by_role("button", name="start", exact=True).click()
    expect(twin).to_contain_text("running")
    with page.expect_response(re.compile("/vm/restart$")):
        twin.get_by_role("button", name="restart").click()
    expect(twin.get_by_role("button", name="restart")).to_be_enabled()
    expect(twin).to_contain_text("running")

    page.get_by_label("Name of the snapshot").fill("before-upgrade")
    page.keyboard.press("Enter")
    row = snapshots.get_by_role("row", name=re.compile("before-upgrade"))
    expect(row).to_contain_text("kept for ever")
    expect(page.get_by_label("Name of the snapshot")).to_have_value("")

    row.get_by_role("button", name="roll back to before-upgrade").focus()
    page.keyboard.press("Enter")
    expect(row).to_contain_text("it is pinned there")
    page.keyboard.press("Enter")  # a second press is the way out
    expect(row.get_by_role("button", name="roll back to before-upgrade")).to_be_visible()
    assert not any(call[0] == "revert" for call in made.driver.calls)
    row.get_by_role("button", name="roll back to before-upgrade").click()
    row.get_by_role("button", name="roll back and pin").click()
    expect(twin.locator(".vm-pinned")).to_have_text("pinned: before-upgrade")
    assert ("revert", "safetytwin-host-1", "before-upgrade") in made.driver.calls
    picture(page, "twin")
    twin.get_by_role("button", name="release").click()
    expect(twin).to_contain_text("follows the machine")
    twin.get_by_role("button", name="stop following").click()
    expect(twin).to_contain_text("does not follow")
    assert not made.files.needed("host-1").follow


def test_a_snapshot_leads_to_its_moment_on_the_time_bar(made, url, watch):
    seen = large()
    send(url, seen)
    made.follow(seen, 7)
    made.snapshot("host-1", "then")
    page = watch(PAGE, url=url).page
    link = panel(page, "Snapshots").get_by_role("row", name=re.compile("^then")).get_by_role("link")
    expect(link).to_contain_text("revision 7")
    assert re.fullmatch(r"/hosts/host-1/twin\?at=[\d.]+", link.get_attribute("href"))
    link.click()
    expect(page.locator(".past-banner")).to_contain_text("as it was on")
    expect(panel(page, "Snapshots")).to_contain_text("then")


def test_what_the_bridge_refuses_is_said_in_its_words(made, url, watch, monkeypatch):
    made.snapshot("host-1", "taken")
    watched = watch(PAGE, url=url)
    watched.expected = ("Failed to load resource",)
    page = watched.page
    page.get_by_label("Name of the snapshot").fill("taken")
    page.get_by_role("button", name="take a snapshot").click()
    expect(page.locator(".vm").get_by_role("alert")).to_have_text(
        "there is a snapshot taken already: choose another name"
    )
    expect(page.get_by_label("Name of the snapshot")).to_have_value("taken")

    def hangs(name, *, force):
        raise DriverAwayError(f"libvirt does not answer {MARKUP}")

    monkeypatch.setattr(made.driver, "stop", hangs)
    page.get_by_role("button", name="stop", exact=True).click()
    expect(page.locator(".vm").get_by_role("alert")).to_contain_text(
        "libvirt does not answer <img src=x onerror=alert(1)>\\u001b[31m"
    )


def test_where_libvirt_is_away_the_plan_and_why_are_shown(made, url, watch, monkeypatch):
    def away(name):
        raise DriverError("libvirt is not installed: apt install libvirt-daemon-system")

    monkeypatch.setattr(made.driver, "running", away)
    page = watch(PAGE, url=url).page
    expect(page.locator(".vm").get_by_role("alert")).to_contain_text("apt install libvirt-daemon-system")
    expect(panel(page, "Plan")).to_contain_text("create domain")
    expect(panel(page, "Twin").locator("pre")).to_have_text("safetytwin vm plan host-1")


def test_hostile_names_consoles_and_reasons_are_text(made, url, watch):
    record = made.files.needed("host-1")
    drift = Line("cannot", "change", MARKUP, MARKUP, MARKUP, MARKUP, MARKUP)
    made.files.save(msgspec.structs.replace(record, follow=False, pinned=MARKUP, drift=[drift], pending=[drift]))
    made.driver.snapshot("safetytwin-host-1", MARKUP, "{}")
    with open(made.files.path("host-1", "console.log"), "w") as console:
        console.write(f"{MARKUP}\n<script>alert(2)</script>\n")
    devices = [BlockDevice(MARKUP, kind="disk", size=GIB)]
    network = [Interface(MARKUP, kind="ethernet", physical=True, mac="3C:EC:EF:00:00:02")]
    send(url, large(block_devices=devices, network=network))
    page = watch(PAGE, url=url).page
    expect(page.locator(".vm-pinned")).to_contain_text("<img src=x onerror=alert(1)>\\u001b[31m")
    expect(panel(page, "Plan")).to_contain_text("could not be followed")
    expect(panel(page, "Snapshots")).to_contain_text("<img src=x")
    expect(page.locator(".vm-console")).to_contain_text("<script>alert(2)</script>")
    assert page.locator("#app script, #app img, #app iframe").count() == 0


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_is_readable_dark_and_light_and_at_360_pixels(made, url, watch, scheme):
    made.snapshot("host-1", "before-upgrade")
    page = watch(PAGE, url=url, color_scheme=scheme, viewport={"width": 360, "height": 740}).page
    page.get_by_role("button", name="roll back to before-upgrade").click()
    expect(page.locator(".vm-question")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
