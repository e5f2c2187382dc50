import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import FIXTURES, fixture_look
from safetytwin.collectors import host, host_root
from safetytwin.collectors.host import HostCollector, operating_system, parse_boot_time, parse_os_release
from safetytwin.collectors.host_root import HostRoot, read_text
from safetytwin.collectors.virtualization import virtualization


def tree(base, files):
    for path, content in files.items():
        file = base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return HostRoot.fixture(str(base))


def test_dmi_strings_that_are_not_utf8_are_replaced_and_the_rest_is_kept():
    found = HostCollector().collect(fixture_look("host/dmi-not-utf8"))
    assert found.dmi.vendor == "\ufffdzg\ufffdr Computer"
    assert found.dmi.product == "NUC\ufffd"
    assert (found.dmi.bios_version, found.dmi.chassis_type) == ("1.2", "3")
    assert found.dmi.serial is None
    assert (found.hostname, found.platform, found.kernel_version) == ("büro", "Linux", "6.1.0-30-amd64")
    assert found.platform_version == "#1 SMP Debian"
    assert found.uptime == 3600.25
    assert found.boot_time == "2026-01-01T00:00:00.000Z"
    assert found.virtualization == "none"


def test_what_only_root_may_read_is_said(monkeypatch):
    def read(path):
        if path.endswith(("product_serial", "product_uuid")):
            raise PermissionError(13, "Permission denied")
        return read_text(path)

    monkeypatch.setattr(host, "read_text", read)
    look = fixture_look("host/dmi-not-utf8")
    found = HostCollector().collect(look)
    assert (found.dmi.serial, found.dmi.bios_version) == (None, "1.2")
    assert (look.notes, look.hint) == (["DMI serial number and UUID may be read by root only"], "run as root")


def test_short_reads_in_lxc_are_read_to_the_end(monkeypatch):
    whole = HostCollector().collect(fixture_look("host/dmi-not-utf8"))
    real = os.read
    monkeypatch.setattr(host_root.os, "read", lambda descriptor, size: real(descriptor, min(size, 3)))
    assert HostCollector().collect(fixture_look("host/dmi-not-utf8")) == whole


def test_os_release_is_found_below_usr_lib():
    release = HostCollector().collect(fixture_look("host/os-release-below-usr-lib")).os
    assert (release.id, release.name, release.version) == ("fedora", "Fedora Linux 41 (Server)", "41")
    assert release.id_like == ["rhel", '"centos"']
    assert release.codename is None


def test_os_release_and_hostname_are_read_again_when_they_change(tmp_path):
    shutil.copytree(os.path.join(FIXTURES, "host/dmi-not-utf8"), tmp_path, dirs_exist_ok=True)
    collector = HostCollector()
    assert collector.collect(fixture_look(str(tmp_path))).os is None
    tree(tmp_path, {"etc/os-release": "ID=debian\n", "proc/sys/kernel/hostname": "renamed\n"})
    found = collector.collect(fixture_look(str(tmp_path)))
    assert (found.os.id, found.hostname) == ("debian", "renamed")
    tree(tmp_path, {"etc/os-release": "ID=debian\nVERSION_ID=13\n"})
    assert collector.collect(fixture_look(str(tmp_path))).os.version == "13"


def test_boot_time_is_read_again_only_when_the_clock_was_set(tmp_path):
    shutil.copytree(os.path.join(FIXTURES, "host/dmi-not-utf8"), tmp_path, dirs_exist_ok=True)
    collector = HostCollector()
    first = collector.collect(fixture_look(str(tmp_path), wall=1767229200)).boot_time
    tree(tmp_path, {"proc/stat": "btime 1767225601\n", "proc/uptime": "3610.25 1\n"})
    assert collector.collect(fixture_look(str(tmp_path), wall=1767229210.4)).boot_time == first
    tree(tmp_path, {"proc/stat": "btime 1767312000\n"})
    assert collector.collect(fixture_look(str(tmp_path), wall=1767315610)).boot_time == "2026-01-02T00:00:00.000Z"


def test_an_empty_tree_is_a_host_of_which_nothing_is_known(tmp_path):
    found = HostCollector().collect(fixture_look(str(tmp_path)))
    assert (found.hostname, found.uptime, found.boot_time, found.dmi, found.os) == (None, None, None, None, None)
    assert found.platform == "Linux"


DMI = "sys/class/dmi/id/"


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({}, "none"),
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"run/systemd/container": "lxc\n"}, "lxc"),
        ({"run/host/container-manager": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"run/systemd/container": "something-new\n"}, "container-other"),
        ({"run/systemd/container": "oci\n", ".dockerenv": ""}, "docker"),
        ({"run/systemd/container": "oci\n"}, "container-other"),
        ({"proc/1/environ": b"PATH=/bin\0container=lxc\0TERM=\xff\0"}, "lxc"),
        ({"proc/1/environ": b"mycontainer=lxc\0"}, "none"),
        ({"proc/vz/version": ""}, "openvz"),
        ({"proc/vz/version": "", "proc/bc/x": ""}, "none"),
        ({"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, "wsl"),
        ({DMI + "sys_vendor": "VMware, Inc.\n"}, "vmware"),
        ({DMI + "product_name": "VirtualBox\n"}, "oracle"),
        ({DMI + "product_name": "Google Compute Engine\n"}, "google"),
        ({DMI + "product_name": "Virtual Machine\n", DMI + "sys_vendor": "Microsoft Corporation\n"}, "microsoft"),
        ({DMI + "product_name": "Virtual Machine\n", DMI + "sys_vendor": "Somebody\n"}, "none"),
        ({DMI + "sys_vendor": "QEMU\n"}, "qemu"),
        (
            {
                DMI + "sys_vendor": "QEMU\n",
                "sys/devices/system/clocksource/clocksource0/available_clocksource": "kvm-clock tsc acpi_pm\n",
            },
            "kvm",
        ),
        ({DMI + "sys_vendor": "Amazon EC2\n", DMI + "product_name": "m5.large\n"}, "amazon"),
        ({DMI + "sys_vendor": "Amazon EC2\n", DMI + "product_name": "m5.metal\n"}, "none"),
        ({"proc/cpuinfo": "vendor_id\t: User Mode Linux\n"}, "uml"),
        ({"proc/xen/capabilities": "\n"}, "xen"),
        ({"proc/xen/capabilities": "control_d\n"}, "none"),
        ({"sys/hypervisor/type": "xen\n"}, "xen"),
        ({"sys/hypervisor/type": "new\n"}, "vm-other"),
        ({"proc/cpuinfo": "flags\t\t: fpu hypervisor lahf_lm\n"}, "vm-other"),
        ({"proc/cpuinfo": "model name\t: hypervisor\nflags : fpu\n"}, "none"),
        ({"proc/device-tree/hypervisor/compatible": b"linux,kvm\0"}, "kvm"),
        ({"proc/device-tree/fw-cfg@9020000/x": ""}, "qemu"),
        ({"proc/sysinfo": "VM00 Control Program: z/VM    6.4.0\n"}, "zvm"),
    ],
)
def test_virtualization_in_the_words_of_systemd_detect_virt(tmp_path, files, word):
    assert virtualization(tree(tmp_path, files)) == word


@given(st.binary())
def test_parsers_take_any_bytes(data):
    operating_system(parse_os_release(host_root.text_of(data)))
    parse_boot_time(data)
