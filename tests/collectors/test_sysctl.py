"""Kernel settings that files set."""

import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import FIXTURES, fixture_look, live_look
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.host_root import HostRoot
from safetytwin.collectors.sysctl import VALUES_SECONDS, SysctlCollector, sysctl_files
from safetytwin.collectors.sysctl_files import parse_sysctl, proc_path, setting_name
from safetytwin.models.software import Sysctl

MASKED = "software/sysctl-masked-and-overridden"


def test_masked_files_overrides_patterns_and_exceptions():
    found = {one.name: one for one in SysctlCollector().collect(fixture_look(MASKED)).sysctl}
    defaults, ours = "/usr/lib/sysctl.d/50-default.conf", "/etc/sysctl.d/60-ours.conf"
    assert found == {
        "kernel.missing": Sysctl("kernel.missing", None, "3", defaults),
        "kernel.sysrq": Sysctl("kernel.sysrq", "438", "438", "/etc/sysctl.conf"),
        "net.ipv4.conf.eth0/7.forwarding": Sysctl("net.ipv4.conf.eth0/7.forwarding", "1", "1", defaults),
        "net.ipv4.conf.eth0/7.rp_filter": Sysctl("net.ipv4.conf.eth0/7.rp_filter", "2", "2", defaults),
        "net.ipv4.conf.lo.rp_filter": Sysctl("net.ipv4.conf.lo.rp_filter", "2", "2", defaults),
        "net.ipv4.tcp_rmem": Sysctl("net.ipv4.tcp_rmem", "4096 131072 6291456", "4096 131072 6291456", ours),
        "net.ipv6.conf.all.stable_secret": Sysctl("net.ipv6.conf.all.stable_secret", None, None, ours),
        "vm.swappiness": Sysctl("vm.swappiness", "60", "1", "/run/sysctl.d/10-base.conf"),
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_files_and_their_order_are_those_of_systemd():
    tree = os.path.join(FIXTURES, MASKED)
    answer = subprocess.run(
        ["systemd-analyze", "cat-config", f"--root={tree}", "sysctl.d"], check=True, capture_output=True, text=True
    )
    expected = [line.removeprefix(f"# {tree}") for line in answer.stdout.splitlines() if line.startswith(f"# {tree}")]
    assert [path for path in sysctl_files(HostRoot.fixture(tree)) if path != "/etc/sysctl.conf"] == expected


@pytest.mark.skipif(shutil.which("sysctl") is None, reason="needs sysctl (Debian: procps)")
def test_the_values_are_those_that_sysctl_prints():
    try:
        found = SysctlCollector().collect(live_look()).sysctl
    except AbsentError:
        pytest.skip("no file sets a kernel setting on this machine")
    known = [one for one in found if one.value is not None]
    printed = subprocess.run(
        ["sysctl", "-n", *(one.name.replace("/", "~").replace(".", "/").replace("~", ".") for one in known)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [one.value for one in known] == [line.strip().replace("\t", " ") for line in printed.splitlines()]


def test_files_are_read_again_on_change_and_values_once_a_minute(tmp_path):
    shutil.copytree(os.path.join(FIXTURES, MASKED), tmp_path, symlinks=True, dirs_exist_ok=True)
    collector = SysctlCollector()
    first = collector.collect(fixture_look(str(tmp_path)))
    (tmp_path / "proc/sys/vm/swappiness").write_text("7\n")
    for path in tmp_path.rglob("*"):
        os.utime(path, ns=(1, 1), follow_symlinks=False)
    collector.collect(fixture_look(str(tmp_path), monotonic=1.0))
    second = collector.collect(fixture_look(str(tmp_path), monotonic=1.0 + VALUES_SECONDS))
    assert second is not first
    assert collector.collect(fixture_look(str(tmp_path), monotonic=2.0 + VALUES_SECONDS)).sysctl[-1].value == "7"
    (tmp_path / "etc/sysctl.d/99-new.conf").write_text("vm.swappiness=33\n")
    assert collector.collect(fixture_look(str(tmp_path), monotonic=3.0)).sysctl[-1].configured == "33"


def test_a_machine_without_such_files_is_no_fault(tmp_path):
    with pytest.raises(AbsentError, match=r"no file of sysctl\.d sets anything"):
        SysctlCollector().collect(fixture_look(str(tmp_path)))


@given(st.text(max_size=60))
def test_no_name_leads_out_of_proc_sys(name):
    for setting in parse_sysctl(f"{name} = 1"):
        path = os.path.normpath(os.path.join("/proc/sys", proc_path(setting.name)))
        assert path == "/proc/sys" or path.startswith("/proc/sys/")


@pytest.mark.parametrize("name", ["../../etc/shadow", "/../../etc/shadow", "..", "a/../../../b", "./../x"])
def test_hostile_names_stay_below_proc_sys(name):
    assert ".." not in proc_path(name).split("/")


def test_a_path_and_its_name_are_each_others_inverse():
    assert setting_name(proc_path("net.ipv4.conf.eth0/7.rp_filter")) == "net.ipv4.conf.eth0/7.rp_filter"
