"""What is not there, or can't be seen, is said: no machine yet, silence, no right to look, the bridge away, a token."""

import re

import httpx
import pytest

from parts.atlas import Atlas
from parts.bridge_http import bare_state
from parts.fed_bridge import Feeder, fed_bridge
from safetytwin.bridge.auth import TokenStore
from safetytwin.models.system_state import CollectorStatus

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect


def test_before_the_first_machine_it_says_how_to_add_one_and_opens_on_it(watch, tmp_path):
    with fed_bridge(tmp_path) as url:
        page = watch("/", url=url).page
        expect(page.locator(".notice")).to_contain_text(f"safetytwin agent --bridge {url}")
        with Feeder(url, Atlas(processes=20)) as feeder:
            feeder.look()
        expect(page.locator("h1")).to_have_text("atlas")
        expect(page).to_have_url(re.compile(r"/hosts/atlas$"))
        page.close()


def test_what_may_not_be_seen_says_why_and_what_would_help(watch, tmp_path):
    machine = Atlas(processes=20)
    machine.containers = []
    machine.collectors["docker"] = CollectorStatus(
        status="denied",
        error="/var/run/docker.sock: permission denied",
        hint="run the agent as root or in group docker",
    )
    with fed_bridge(tmp_path) as url:
        with Feeder(url, machine) as feeder:
            feeder.look()
        page = watch("/hosts/atlas/containers", url=url).page
        expect(page.locator(".table-empty")).to_contain_text("docker: permission denied")
        expect(page.locator(".table-empty")).to_contain_text("run the agent as root or in group docker")
        expect(page.locator(".troubles")).to_contain_text("docker: permission denied")
        page.close()


def test_a_bare_state_from_a_script_is_a_machine_too(watch, tmp_path):
    with fed_bridge(tmp_path) as url:
        httpx.post(f"{url}/api/v1/update_state", json=bare_state()).raise_for_status()
        page = watch("/", url=url).page
        expect(page.locator("h1")).to_have_text("atlas")
        expect(page.locator(".meter", has_text="CPU")).to_contain_text("–")
        page.get_by_role("link", name="GPUs 0").click()
        expect(page.locator(".notice")).to_contain_text("No GPU")
        for section in ("AI 0", "models 0", "sensors 0", "network 0", "disks 0", "services 0"):
            page.get_by_role("link", name=section, exact=True).click()
            expect(page.locator(".table-empty, .notice p")).to_contain_text(re.compile("no |No|Nothing"))
        page.close()


def test_a_bridge_that_goes_away_is_said_and_comes_back_by_itself(watch, tmp_path):
    with fed_bridge(tmp_path) as url, Feeder(url, Atlas(processes=20)) as feeder:
        feeder.look()
        watched = watch("/", url=url)
        watched.expected = ("ERR_", "Failed to load resource")
        page = watched.page
        expect(page.locator(".head .status")).to_contain_text("live")
    expect(page.get_by_role("alert")).to_contain_text("The bridge is away", timeout=15_000)
    expect(page.locator("h1")).to_have_text("atlas")
    with fed_bridge(tmp_path, port=int(url.rpartition(":")[2])):
        expect(page.locator(".away-banner")).to_have_count(0, timeout=20_000)
        expect(page.locator(".head .status")).to_contain_text("live")
        page.close()


def test_a_silent_machine_is_plainly_so(watch, tmp_path, monkeypatch):
    monkeypatch.setattr("safetytwin.bridge.twins._QUIET_SECONDS", 1.0)
    with fed_bridge(tmp_path) as url:
        with Feeder(url, Atlas(processes=20, interval=0.1)) as feeder:
            feeder.look()
        page = watch("/", url=url).page
        expect(page.locator(".head .status")).to_contain_text("silent: last heard", timeout=20_000)
        page.get_by_role("link", name="machines").click()
        # The heading first: until the list is there, the rows are those of the machine's processes.
        expect(page.locator("h1")).to_contain_text("1 not heard")
        expect(page.locator(".table-row")).to_contain_text("silent")
        page.close()


def test_where_a_token_is_asked_for_one_signs_in(watch, tmp_path):
    token = TokenStore(tmp_path).create("person", name="a person")
    with fed_bridge(tmp_path, require_tokens=True) as url:
        watched = watch("/", url=url)
        watched.expected = ("401",)
        page = watched.page
        page.get_by_label("Token").fill("st_000000000000_wrong")
        page.get_by_role("button", name="sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("no person's token")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="sign in").click()
        expect(page.locator(".notice")).to_contain_text("No machine has been heard of yet.")
        page.close()


def test_an_address_that_leads_nowhere_says_so(atlas, watch):
    watched = watch("/hosts/no-such-machine")
    watched.expected = ("404",)
    expect(watched.page.locator(".notice")).to_contain_text("There is no machine no-such-machine.")
    watched.page.goto(watched.url + "/hosts/atlas/processes/1%2F1")
    expect(watched.page.locator(".notice")).to_contain_text("This process is not there now.")
    watched.page.goto(watched.url + "/hosts/atlas/nonsense")
    expect(watched.page.locator(".notice")).to_contain_text("There is nothing at this address.")
