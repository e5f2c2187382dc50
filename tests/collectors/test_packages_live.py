"""Databases that rpm and pacman themselves made, read by us and by their own queries."""

import io
import shutil
import subprocess
import tarfile

import pytest

from parts.looks import fixture_look
from safetytwin.collectors.packages import PackagesCollector

_SPEC = """
Name: {name}
Version: {version}
Release: 1
Epoch: {epoch}
Summary: a package of the tests
License: none
BuildArch: noarch
%description
%files
"""


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def built(folder, name, version, epoch=0):
    spec = folder / f"{name}-{version}.spec"
    spec.write_text(_SPEC.format(name=name, version=version, epoch=epoch))
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}", str(spec))
    return str(folder / f"RPMS/noarch/{name}-{version}-1.noarch.rpm")


@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="needs rpm and rpmbuild (Debian: rpm)")
def test_a_real_database_of_rpm_reads_as_rpm_reads_it(tmp_path):
    database = tmp_path / "var/lib/rpm"
    database.mkdir(parents=True)
    install = ("rpm", "--dbpath", str(database), "-i", "--justdb", "--nodeps", "--noscripts", "--force")
    run(*install, built(tmp_path, "kernel", "6.1"), built(tmp_path, "tool", "2.0", epoch=3))
    collector, look = PackagesCollector(), fixture_look(str(tmp_path))
    assert [package.id for package in collector.collect(look).packages] == ["kernel.noarch", "tool.noarch"]
    run(*install, built(tmp_path, "kernel", "6.2"))
    found = collector.collect(look).packages
    assert [package.id for package in found] == ["kernel-6.1-1.noarch", "kernel.noarch", "tool.noarch"]
    form = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH}\n"
    listed = run("rpm", "--dbpath", str(database), "-qa", "--qf", form).splitlines()
    assert sorted(f"{one.name} {one.version} {one.architecture}" for one in found) == sorted(
        line.replace(" 0:", " ") for line in listed
    )


@pytest.mark.skipif(shutil.which("pacman") is None, reason="needs pacman (Debian: pacman-package-manager)")
@pytest.mark.root
def test_a_real_database_of_pacman_reads_as_pacman_reads_it(tmp_path):
    database = tmp_path / "var/lib/pacman"
    database.mkdir(parents=True)
    (tmp_path / "pacman.conf").write_text(
        "[options]\nArchitecture = auto\nSigLevel = Never\nLocalFileSigLevel = Never\n"
    )
    options = ["--root", str(tmp_path), "--dbpath", str(database), "--config", str(tmp_path / "pacman.conf")]
    options += ["--cachedir", str(tmp_path / "cache"), "--logfile", str(tmp_path / "log"), "--noconfirm"]
    for name, version in (("zlib", "1:1.3-1"), ("tool", "2-1")):
        archive = tmp_path / f"{name}.pkg.tar"
        with tarfile.open(archive, "w") as tar:
            text = (
                f"pkgname = {name}\npkgbase = base\npkgver = {version}\narch = any\nsize = 1\nbuilddate = 1\n".encode()
            )
            member = tarfile.TarInfo(".PKGINFO")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        run("pacman", *options, "-U", str(archive))
    found = PackagesCollector().collect(fixture_look(str(tmp_path))).packages
    assert [f"{one.name} {one.version}" for one in found] == sorted(run("pacman", *options, "-Q").splitlines())
    assert {(one.architecture, one.source) for one in found} == {("any", "base")}
