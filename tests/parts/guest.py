"""A small guest: Debian's cloud kernel, busybox and the real guest agent, on a disk that a BIOS boots. Made once."""

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

_MODULES = """virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_balloon failover
net_failover virtio_net virtio_console scsi_common scsi_mod virtio_scsi sd_mod""".split()
"""In the order in which they need each other."""

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /run /tmp /var/run /var/log
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /run
for module in MODULES; do insmod /mod/$module.ko; done
hostname tiny
echo GUEST-UP
for port in /sys/class/virtio-ports/*; do
  [ "$(cat $port/name)" = org.qemu.guest_agent.0 ] || continue
  qemu-ga -m virtio-serial -p /dev/${port##*/} -d -t /run -f /run/qga.pid
done
while :; do
  for cpu in /sys/devices/system/cpu/cpu*/online; do [ "$(cat $cpu)" = 0 ] && echo 1 >$cpu; done 2>/dev/null
  sleep 0.2
done
""".replace("MODULES", " ".join(_MODULES))

_PROGRAMS = ("qemu-img", "mformat", "mcopy", "syslinux", "cpio", "apt-get", "dpkg")


def tiny_image(directory: Path) -> Path:
    """Return the path of a raw disk image; it is made where directory does not have it."""
    image = directory / "tiny.raw"
    if not image.exists():
        _needs()
        directory.mkdir(parents=True, exist_ok=True)
        kernel = _kernel(directory)
        initrd = _initrd(directory, kernel)
        part = directory / "tiny.part"
        _bootable(part, next((kernel / "boot").glob("vmlinuz-*")), initrd)
        part.rename(image)
    return image


def _needs() -> None:
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, which makes the guest")
    for file in ("/bin/busybox", "/usr/sbin/qemu-ga"):
        if not Path(file).exists():
            pytest.skip(f"{file} is not installed, which the guest has inside")


def _kernel(directory: Path) -> Path:
    unpacked = directory / "kernel"
    if not unpacked.exists():
        shown = subprocess.run(
            ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=False
        ).stdout
        found = re.search(r"Depends: (linux-image-\S+)", shown)
        if found is None:
            pytest.skip("apt knows no linux-image-cloud-amd64 (run apt-get update)")
        got = subprocess.run(
            ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", found[1]],
            cwd=directory,
            capture_output=True,
            check=False,
        )
        if got.returncode:
            pytest.skip(f"the kernel can't be downloaded: {got.stderr.decode()[-200:]}")
        package = next(directory.glob("linux-image-*.deb"))
        subprocess.run(["dpkg", "-x", package, unpacked], check=True)
        package.unlink()
    return unpacked


def _initrd(directory: Path, kernel: Path) -> Path:
    root = directory / "root"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "mod", "lib64"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    shutil.copy("/usr/sbin/qemu-ga", root / "bin")
    linked = subprocess.run(["ldd", "/usr/sbin/qemu-ga"], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", linked):
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(library), root / library[1:])
    for module in _MODULES:
        shutil.copy(next(kernel.rglob(f"{module}.ko")), root / "mod")
    (root / "init").write_text(_INIT)
    (root / "init").chmod(0o755)
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, capture_output=True, check=True
    ).stdout
    initrd = directory / "initrd.gz"
    initrd.write_bytes(gzip.compress(archive, 1))
    return initrd


def _bootable(image: Path, kernel: Path, initrd: Path) -> None:
    with image.open("wb") as file:
        file.truncate(48 << 20)
    config = image.with_suffix(".cfg")
    config.write_text(
        "default tiny\nprompt 0\nlabel tiny\n kernel vmlinuz\n initrd initrd.gz\n append console=ttyS0 quiet panic=-1\n"
    )
    subprocess.run(["mformat", "-i", image, "-T", str((48 << 20) // 512), "-h", "16", "-s", "63", "::"], check=True)
    for source, name in ((kernel, "vmlinuz"), (initrd, "initrd.gz"), (config, "syslinux.cfg")):
        subprocess.run(["mcopy", "-i", image, source, f"::{name}"], check=True)
    subprocess.run(["syslinux", "--install", image], check=True)
