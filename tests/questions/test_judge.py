"""Questions are judged on twins with three values."""

import shutil
import subprocess

import pytest

from parts.small_states import container, state, unit
from safetytwin.changes.diff import tree_of
from safetytwin.changes.twin import Twin
from safetytwin.models.hardware import Gpu
from safetytwin.models.workload import Ai, ModelUse, Workload
from safetytwin.questions.asking import ask
from safetytwin.questions.judge import judge
from safetytwin.questions.parser import parse_question
from safetytwin.questions.patterns import resembles
from safetytwin.questions.versions import version_key
from safetytwin.questions.view import View

GIB = 1 << 30
GPUS = [
    Gpu(uuid="a", vendor="nvidia", name="NVIDIA H100", memory_free=2 * GIB),
    Gpu(uuid="b", vendor="nvidia", name="NVIDIA L4", memory_free=20 * GIB),
]
LOOKED = dict.fromkeys(("nvidia", "systemd", "docker"), "ok") | dict.fromkeys(
    ("amd", "intel", "init_scripts", "podman", "cgroup_containers"), "absent"
)
SERVER = Workload("1/1", "server", 0.9, [], engine="vllm", models=[ModelUse("m", "Meta-Llama-3")])


AI = Ai([SERVER], [])


def view(collectors=LOOKED, gpus=GPUS, ai=AI, host_id="host-1"):
    services = (unit("ssh.service", "failed"), unit("cron.service"), container("db", image="x/postgres:16"))
    here = state(collectors=collectors, services=services, ai=ai, gpu={"nvidia": gpus}, kernel_version="6.10.2-amd64")
    return View(host_id, "live", Twin(tree_of(here)))


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('model ~ "llama" and gpu.memory_free > 8GiB', True),
        ("gpu[memory_free > 8GiB and name ~ H100]", False),
        ("gpu[memory_free > 8GiB and name ~ L4]", True),
        ("gpu.name ~ H100 and gpu.memory_free > 8GiB", True),
        ("unit.failed = ssh.service", True),
        ("unit.failed = cron.service", False),
        ("unit != ssh.service", False),
        ("has container and not has unit.failed", False),
        ('image ~ "*/postgres:1*"', True),
        ("kernel > 6.9 and kernel < 6.11", True),
        ("engine in (ollama, vllm)", True),
        ("status = live and hostname = alpha", True),
        ("has label.role", False),
        ("has collector.failing", False),
        ("has unit or cpu.usage > 5%", True),
        ("not has unit and cpu.usage > 5%", False),
    ],
)
def test_what_is_known(text, verdict) -> None:
    assert judge(parse_question(text), view()) is verdict


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("cpu.usage > 5%", "hardware.cpu.usage_percent is not known"),
        ("not cpu.usage > 5%", "hardware.cpu.usage_percent is not known"),
        ("gpu.utilization < 5%", "utilization_percent of a GPU is not known"),
        ("has package.openssl", "its agent did not run the collector packages"),
    ],
)
def test_what_is_not_known_is_no_match_either_way(text, because) -> None:
    assert judge(parse_question(text), view()) == because


def test_an_empty_list_that_nobody_looked_for_is_unknown() -> None:
    has_gpu = parse_question("has gpu.name")
    assert judge(has_gpu, view(gpus=[])) is False, "the collectors looked: there is none"
    assert judge(has_gpu, view({**LOOKED, "nvidia": "denied"}, gpus=[])) == "the collector nvidia: denied"
    assert judge(has_gpu, view({}, gpus=[])) == "its agent did not run the collector nvidia"
    assert judge(parse_question("gpu[name = x]"), view({}, gpus=[])) == "its agent did not run the collector nvidia"
    assert judge(parse_question("has model"), view(ai=None)) == "its agent did not look for AI workloads"
    assert judge(parse_question("has model"), view(ai=Ai([], []))) is False


def test_pages_go_on_after_the_last_that_was_judged() -> None:
    views = [view({} if number == 1 else LOOKED, gpus=[], host_id=f"h{number}") for number in range(4)]
    asked = ask(parse_question("not has gpu.name"), views, 2)
    assert (asked.matching, asked.next, asked.unknown_count) == (["h0", "h2"], "h2", 1)
    assert [one.host_id for one, _ in asked.unknown] == ["h1"]
    asked = ask(parse_question("not has gpu.name"), views[3:], 2)
    assert (asked.matching, asked.next) == (["h3"], None)


@pytest.mark.parametrize(
    ("text", "pattern", "is_like"),
    [
        ("Meta-Llama-3", "llama", True),
        ("llama", "*llama*", True),
        ("llama-3", "llama", True),
        ("my-llama", "llama*", False),
        ("ab", "ab*ab", False),
        ("a" * 50_000, "*a" * 900 + "*b*", False),
        ("anything", "**", True),
    ],
)
def test_resemblance(text, pattern, is_like) -> None:
    assert resembles(text, pattern) is is_like


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is the independent judge of versions")
def test_versions_are_ordered_as_dpkg_does() -> None:
    versions = ["1.0~rc1", "1.0", "1.0-1", "1.0-1~deb12u2", "1.0+b1", "1.0.1-1", "1:0.5", "1.10", "1.9", "1.0a", "0"]
    for one in versions:
        for other in versions:
            answer = subprocess.run(["dpkg", "--compare-versions", one, "lt", other], check=False)
            assert (version_key(one) < version_key(other)) is (answer.returncode == 0), (one, other)
