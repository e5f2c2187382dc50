"""One machine, live: what a person sees without a click, and with one."""

import re

import pytest

from safetytwin.models.process import Process
from safetytwin.models.quantities import percent

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect


def test_with_one_machine_only_it_opens_on_that_machine(atlas, watch, picture):
    page = watch("/").page
    expect(page).to_have_url(re.compile(r"/hosts/atlas$"))
    expect(page.locator("h1")).to_have_text("atlas")
    expect(page.locator(".head .hardware")).to_contain_text("2 \u00d7 NVIDIA H100 80GB HBM3")
    expect(page.locator(".head .status")).to_contain_text("live")
    picture(page, "overview")


def test_what_is_in_trouble_is_said_first(atlas, watch):
    page = watch("/").page
    troubles = page.locator(".troubles")
    for text in ("backup.service failed", "qdrant unhealthy", "/ 96 % full", "/mnt/nas does not answer"):
        expect(troubles).to_contain_text(text)
    page.get_by_role("link", name="backup.service failed").click()
    expect(page.locator("article h2")).to_have_text("unit backup.service")
    expect(page.locator("article .facts")).to_contain_text("exit-code")


def test_the_meters_say_what_the_state_says(atlas, watch):
    page = watch("/").page
    hardware = atlas.look_shown().hardware
    expect(page.locator(".meter", has_text="CPU")).to_contain_text(_percent(hardware.cpu.usage_percent))
    expect(page.locator(".meter", has_text="memory")).to_contain_text(_percent(hardware.memory.usage_percent))
    expect(page.locator(".meter", has_text="disk /")).to_contain_text("96 %")
    expect(page.get_by_role("meter", name="GPU 0")).to_be_visible()


def test_a_process_that_starts_appears_by_itself_and_one_that_ends_goes(atlas, watch):
    page = watch("/hosts/atlas").page
    page.get_by_label("Only processes with these words").first.fill("trainer-7")
    expect(page.locator(".processes .table-empty")).to_have_text("No process fits.")
    atlas.machine.processes.append(Process(pid=777001, start_ticks=5, name="trainer-7", cpu_percent=400.0))
    atlas.look()
    row = page.locator(".processes .table-row", has_text="trainer-7")
    expect(row).to_be_visible()
    expect(row).to_contain_text("777001")
    atlas.machine.processes.clear()
    atlas.look()
    expect(row).to_have_count(0)


def test_a_workload_opens_to_its_models_group_gpus_and_evidence(atlas, watch, picture):
    page = watch("/").page
    page.locator(".workload", has_text="vLLM").get_by_text("sure 97 %").click()
    article = page.locator("article")
    expect(article).to_contain_text("meta-llama/Llama-3.1-8B-Instruct")
    expect(article).to_contain_text("GPU 0 · 61.0 GiB")
    expect(article.get_by_role("table", name="Evidence for it")).to_contain_text(
        "-m vllm.entrypoints.openai.api_server"
    )
    expect(article.get_by_role("table", name="Evidence against it")).to_contain_text("engine:generic")
    expect(article).to_contain_text("reachable from elsewhere, no key is asked for")
    picture(page, "workload")
    article.get_by_role("link", name=re.compile("worker python3 41201")).click()
    expect(page).to_have_url(re.compile(r"/hosts/atlas/processes/41201%2F900101$"))
    expect(page.locator("article .command")).to_have_text("VLLM::EngineCore")


def test_each_part_of_the_machine_has_its_list(atlas, watch):
    page = watch("/hosts/atlas").page
    for section, text in (
        ("processes", "python3"),
        ("services", "backup.service"),
        ("containers", "open-webui"),
        ("models", "qwen2.5:7b"),
        ("disks", "/mnt/nas"),
        ("network", "192.0.2.17/24"),
        ("sensors", "Tctl"),
        ("GPUs", "61.0 GiB of 80.0 GiB"),
        ("AI", "Ollama 0.5.4"),
        ("agent", "nvidia"),
    ):
        page.locator(".sections").get_by_role("link", name=re.compile(rf"^{section}( \d+)?$")).click()
        expect(page.locator("#main .section")).to_contain_text(text)


def test_each_item_has_an_address_of_its_own(atlas, watch):
    watched = watch("/hosts/atlas")
    page = watched.page
    for path, title, text in (
        ("disks/%2F", "disk /", "/dev/nvme0n1p2"),
        ("containers/docker%2F9f2c1f0e7a11", "container open-webui", "3000→8080"),
        ("network/eth0", "interface eth0", "25000"),
        ("sensors/k10temp%3Atemp1", "sensor Tctl", "61.5"),
        ("models/%2Fsrv%2Fmodels%2Fhalf.gguf", "model half.gguf", "ends before its tensors do"),
    ):
        watched.open(f"/hosts/atlas/{path}")
        expect(page.locator("article h2")).to_have_text(title)
        expect(page.locator("article")).to_contain_text(text)


def test_charts_are_drawn_and_can_be_zoomed(atlas, watch, picture):
    page = watch("/hosts/atlas/charts").page
    cpu = page.get_by_role("figure", name="CPU %", exact=True)
    expect(cpu.locator("canvas")).to_be_visible()
    before = page.locator(".charts .panel-head .muted").first.inner_text()
    picture(page, "charts")
    box = cpu.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="zoom out")).to_be_visible()
    assert page.locator(".charts .panel-head .muted").first.inner_text() != before


def test_search_finds_across_kinds_and_enter_opens(atlas, watch):
    page = watch("/hosts/atlas").page
    expect(page.locator(".table-row").first).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("qwen")
    expect(page.locator("#found").get_by_role("option").first).to_contain_text("qwen2.5:7b")
    page.keyboard.press("Enter")
    expect(page.locator("article h2")).to_contain_text(re.compile("qwen2.5:7b|Ollama"))


def _percent(value):
    return f"{percent(value)} %"


def test_many_pages_of_one_bridge_can_be_open_in_one_browser(atlas, watch):
    # A browser grants six connections to a server, and a stream takes one for as long as it is open.
    page = watch("/hosts/atlas").page
    expect(page.locator("h1")).to_have_text("atlas")
    for _ in range(4):
        another = page.context.new_page()
        another.goto(page.url)
        expect(another.locator("h1")).to_have_text("atlas")
