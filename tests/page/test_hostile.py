"""A machine whose every text is an attack: it is shown as text, and nothing of it runs or is fetched."""

import re

import msgspec
import pytest

from parts.atlas import Atlas
from parts.fed_bridge import Feeder, fed_bridge
from safetytwin.models.hardware import Disk
from safetytwin.models.process import Process
from safetytwin.models.service import Service
from safetytwin.models.system_state import CollectorStatus
from safetytwin.models.workload import Evidence, ModelUse, Workload

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"
ELSEWHERE = "javascript:alert(3)//https://example.net/"
ANSI = "\x1b[31mred\x1b[0m"
BACKWARDS = "gnp.\u202ecod"
BREAKING_OUT = "'\"><svg onload=alert(4)>"
TEXTS = (SCRIPT, IMAGE, ELSEWHERE, ANSI, BACKWARDS, BREAKING_OUT, "../../../etc", "%2e%2e%2f", "{{7*7}}", "")


class Hostile(Atlas):
    def look(self):
        state = super().look()
        processes = [
            Process(pid=990000 + n, start_ticks=1, name=text, cmdline=[text], username=text, exe=text, service=text)
            for n, text in enumerate(TEXTS)
        ]
        services = [
            Service(type=kind, id=text, name=text, description=text, image=text, status="failed", result=text)
            for text in TEXTS
            for kind in ("docker", "systemd", IMAGE)
        ]
        disks = [Disk(mountpoint=text, device=text, usage_percent=99.0, total=1 << 30) for text in TEXTS]
        workload = Workload(
            id=SCRIPT,
            role=IMAGE,
            confidence=1.0,
            name=SCRIPT,
            engine=SCRIPT,
            models=[ModelUse(id=ELSEWHERE, name=IMAGE)],
            evidence=[Evidence(family="argv", source=IMAGE, locator=SCRIPT, says=IMAGE, weight=9.0)],
            findings=[SCRIPT],
        )
        return msgspec.structs.replace(
            state,
            processes=state.processes + processes,
            services=services,
            hardware=msgspec.structs.replace(state.hardware, hostname=IMAGE, disks=disks),
            ai=msgspec.structs.replace(state.ai, workloads=[workload]),
            agent=msgspec.structs.replace(
                state.agent, collectors={IMAGE: CollectorStatus(status="failed", error=SCRIPT, hint=IMAGE)}
            ),
            extra={"__proto__": {"polluted": True}, "constructor": IMAGE},
        )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    with (
        fed_bridge(tmp_path_factory.mktemp("hostile")) as url,
        Feeder(url, Hostile(processes=30), host_id="atlas") as feeder,
    ):
        feeder.look()
        yield feeder, url


def _nothing_ran(page):
    assert page.evaluate("({}).polluted") is None
    assert page.locator("#app script, #app img, #app iframe, #app svg[onload]").count() == 0


def test_names_that_are_markup_are_shown_as_text(hostile, watch, picture):
    feeder, url = hostile
    page = watch("/", url=url).page
    expect(page.locator("h1")).to_have_text(IMAGE)
    page.get_by_label("Only processes with these words").fill("alert(1)")
    expect(page.locator(".processes .table-row").first).to_contain_text(SCRIPT)
    feeder.look()
    picture(page, "hostile")
    _nothing_ran(page)


def test_what_can_not_be_seen_is_written_out(hostile, watch):
    page = watch("/hosts/atlas/processes", url=hostile[1]).page
    rows = page.locator(".processes .table-row")
    page.get_by_label("Only processes with these words").fill("[31m")
    expect(rows.first).to_contain_text("\\u001b[31mred\\u001b[0m")
    page.get_by_label("Only processes with these words").fill("gnp.")
    expect(rows.first).to_contain_text("gnp.\\u202ecod")


def test_no_view_runs_what_a_machine_says(hostile, watch):
    page = watch("/hosts/atlas", url=hostile[1]).page
    for section in ("services", "containers", "disks", "AI", "models", "agent", "events", "compare"):
        page.locator(".sections").get_by_role("link", name=re.compile(rf"^{section}( \d+)?$")).click()
        expect(page.locator("#main .section")).to_contain_text(re.compile("alert|Compar|atlas|img|Models"))
        links = page.eval_on_selector_all("a[href]", "all => all.map((one) => one.href)")
        assert [link for link in links if not link.startswith(hostile[1])] == []
        _nothing_ran(page)


def test_items_with_odd_keys_have_addresses_that_lead_back_to_them(hostile, watch):
    page = watch("/hosts/atlas/disks", url=hostile[1]).page
    page.get_by_label("Only disks with these words").fill("svg onload")
    page.locator(".table-row a").first.click()
    expect(page.locator("article h2")).to_have_text(re.compile(re.escape(BREAKING_OUT)))
    page.reload()
    expect(page.locator("article h2")).to_have_text(re.compile(re.escape(BREAKING_OUT)))
    _nothing_ran(page)


def test_the_list_of_machines_and_of_models_too(hostile, watch):
    page = watch("/hosts", url=hostile[1]).page
    expect(page.locator(".table-row").first).to_contain_text(IMAGE)
    page.get_by_role("link", name="models", exact=True).click()
    expect(page.locator("table.plain")).to_contain_text(IMAGE)
    _nothing_ran(page)
