"""What the machine runs on, in the words and order of systemd-detect-virt(1): containers first, then hypervisors."""

import os
import re

from safetytwin.collectors.host_root import HostRoot, list_dir, read_bytes, read_line, text_of

_CONTAINERS = frozenset(
    ("systemd-nspawn", "lxc-libvirt", "lxc", "openvz", "docker", "podman", "rkt", "wsl", "proot", "pouch")
)

# Beginnings of DMI strings, as in systemd's src/basic/virt.c.
_DMI_BEGINNINGS = (
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "oracle"),
    ("VirtualBox", "oracle"),
    ("Oracle Corporation", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "microsoft"),
    ("Virtual Machine", "microsoft"),
    ("Apple Virtualization", "apple"),
    ("Google Compute Engine", "google"),
)
_DMI_FILES = ("product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version")
_BARE_METAL = re.compile(r"\.metal(-\w+)?$")
_CLOCKS = (("kvm-clock", "kvm"), ("hyperv_clocksource", "microsoft"), ("xen", "xen"))
_HYPERVISOR_FLAG = re.compile(rb"^flags\s*:.*\bhypervisor\b", re.MULTILINE)
_CONTAINER_VARIABLE = re.compile(rb"(?:^|\0)container=([^\0]*)")


def virtualization(root: HostRoot) -> str:
    """Return what the machine runs on, such as docker, kvm or none."""
    return container(root) or hypervisor(root) or "none"


def container(root: HostRoot) -> str | None:
    """Return the container engine that the view is inside of, or None."""
    if os.path.exists(os.path.join(root.proc, "vz")) and not os.path.exists(os.path.join(root.proc, "bc")):
        return "openvz"
    release = read_line(os.path.join(root.proc, "sys/kernel/osrelease")) or ""
    if "Microsoft" in release or "WSL" in release:
        return "wsl"
    word = (
        read_line(os.path.join(root.run, "host/container-manager"))
        or read_line(os.path.join(root.run, "systemd/container"))
        or _container_variable(root)
    )
    marked = None
    if os.path.exists(os.path.join(root.run, ".containerenv")):
        marked = "podman"
    elif os.path.exists(os.path.join(root.root, ".dockerenv")):
        marked = "docker"
    if word is None:
        return marked
    if word == "oci":
        return marked or "container-other"
    return word if word in _CONTAINERS else "container-other"


def hypervisor(root: HostRoot) -> str | None:
    """Return the hypervisor below the kernel, or None on bare metal."""
    by_dmi = _by_dmi(root)
    if by_dmi is not None and by_dmi not in {"qemu", "amazon"}:
        return by_dmi
    cpuinfo = _read(os.path.join(root.proc, "cpuinfo"))
    if b"User Mode Linux" in cpuinfo:
        return "uml"
    if os.path.exists(os.path.join(root.proc, "xen")):
        rights = read_line(os.path.join(root.proc, "xen/capabilities")) or ""
        return None if "control_d" in rights else "xen"
    if by_dmi == "amazon":
        product = read_line(os.path.join(root.sys, "class/dmi/id/product_name")) or ""
        return None if _BARE_METAL.search(product) else by_dmi
    by_kernel = _by_clock(root) or _by_device_tree(root) or _by_sysinfo(root)
    if by_kernel is not None:
        return by_kernel
    if by_dmi is not None:
        return by_dmi
    kind = read_line(os.path.join(root.sys, "hypervisor/type"))
    if kind is not None:
        return "xen" if kind == "xen" else "vm-other"
    return "vm-other" if _HYPERVISOR_FLAG.search(cpuinfo) else None


def _read(path: str) -> bytes:
    try:
        return read_bytes(path)
    except OSError:
        return b""


def _container_variable(root: HostRoot) -> str | None:
    found = _CONTAINER_VARIABLE.search(_read(os.path.join(root.proc, "1/environ")))
    return text_of(found.group(1)).strip() or None if found else None


def _by_dmi(root: HostRoot) -> str | None:
    for name in _DMI_FILES:
        value = read_line(os.path.join(root.sys, "class/dmi/id", name)) or ""
        for beginning, word in _DMI_BEGINNINGS:
            if not value.startswith(beginning):
                continue
            if beginning == "Virtual Machine":
                vendor = read_line(os.path.join(root.sys, "class/dmi/id/sys_vendor")) or ""
                if not vendor.startswith("Microsoft"):
                    continue
            return word
    return None


def _by_clock(root: HostRoot) -> str | None:
    """Return what the clocks tell: a guest kernel offers that of the hypervisor it found by CPUID."""
    clocks = read_line(os.path.join(root.sys, "devices/system/clocksource/clocksource0/available_clocksource")) or ""
    for clock in clocks.split():
        for beginning, word in _CLOCKS:
            if clock.startswith(beginning):
                return word
    return None


def _by_device_tree(root: HostRoot) -> str | None:
    tree = os.path.join(root.proc, "device-tree")
    compatible = _read(os.path.join(tree, "hypervisor/compatible"))
    for text, word in ((b"linux,kvm", "kvm"), (b"xen", "xen"), (b"vmware", "vmware")):
        if text in compatible:
            return word
    if compatible:
        return "vm-other"
    if os.path.exists(os.path.join(tree, "ibm,partition-name")):
        return "powervm"
    return "qemu" if any("fw-cfg" in name for name in list_dir(tree)) else None


def _by_sysinfo(root: HostRoot) -> str | None:
    """/proc/sysinfo of s390."""
    for line in _read(os.path.join(root.proc, "sysinfo")).splitlines():
        if line.startswith(b"VM00 Control Program"):
            return "zvm" if b"z/VM" in line else "kvm"
    return None
