"""Packages of every manager, from fixture trees, and of this machine where dpkg can be asked to compare."""

import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parts.looks import FIXTURES, fixture_look, live_look
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.package_database import UnreadableDatabaseError
from safetytwin.collectors.packages import PackagesCollector
from safetytwin.collectors.packages_apk import parse_installed
from safetytwin.collectors.packages_dpkg import DpkgDatabase, parse_status
from safetytwin.collectors.packages_pacman import parse_desc
from safetytwin.collectors.rpm_header import header_package
from safetytwin.models.software import Package

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg-query")


def packages_of(name):
    return {package.id: package for package in PackagesCollector().collect(fixture_look(name)).packages}


def queried(*options):
    """Return what dpkg-query itself says: id, version, architecture, source and status of each package."""
    form = "${binary:Package}\t${Version}\t${Architecture}\t${source:Package}\t${db:Status-Want}\t${db:Status-Status}\n"
    answer = subprocess.run(["dpkg-query", *options, "-W", "-f", form], check=True, capture_output=True, text=True)
    rows = [line.split("\t") for line in answer.stdout.splitlines()]
    return {row[0]: tuple(row[1:]) for row in rows if row[5] not in {"config-files", "not-installed"}}


def as_queried(packages):
    return {
        one.id: (
            one.version,
            one.architecture,
            one.source or one.name,
            "hold" if one.held else "install",
            one.status or "installed",
        )
        for one in packages
    }


def test_leftovers_foreign_held_and_half_done_packages_of_dpkg():
    found = packages_of("software/dpkg-torn-and-foreign")
    assert list(found) == ["libc6:amd64", "libc6:i386", "nginx", "wine32:i386"]
    assert found["wine32:i386"] == Package(
        "dpkg", "wine32:i386", "wine32", "8.0~repack-4+b1", "i386", source="wine", status="unpacked"
    )
    assert found["nginx"] == Package("dpkg", "nginx", "nginx", "1:1.22.1-9", "all", held=True)


@needs_dpkg
def test_the_fixture_reads_as_dpkg_itself_reads_it(tmp_path):
    shutil.copytree(os.path.join(FIXTURES, "software/dpkg-torn-and-foreign"), tmp_path, dirs_exist_ok=True)
    status = tmp_path / "var/lib/dpkg/status"
    status.write_text(status.read_text().replace("Package: token:\nStatus: half\n", ""))
    found = PackagesCollector().collect(fixture_look(str(tmp_path))).packages
    assert as_queried(found) == queried(f"--admindir={tmp_path}/var/lib/dpkg")


@needs_dpkg
def test_the_packages_of_this_machine_are_those_that_dpkg_lists():
    expected = queried()
    found = [one for one in PackagesCollector().collect(live_look()).packages if one.manager == "dpkg"]
    if queried() != expected:
        pytest.skip("packages were installed meanwhile")
    assert as_queried(found) == expected


def test_a_torn_stanza_of_apk_takes_no_other_with_it():
    found = packages_of("software/apk-torn-stanza")
    assert list(found) == ["libcrypto3", "musl", "torn"]
    assert found["libcrypto3"] == Package("apk", "libcrypto3", "libcrypto3", "3.3.2-r1", "x86_64", source="openssl")
    assert found["torn"].version is None


def test_a_folder_of_pacman_without_desc_is_passed_over():
    assert packages_of("software/pacman-without-desc") == {
        "zlib": Package("pacman", "zlib", "zlib", "1:1.3.1-2", "x86_64", source="zlib-src")
    }


def test_a_berkeley_database_of_rpm_is_said_to_be_there():
    with pytest.raises(AbsentError, match="Berkeley DB, which only librpm reads"):
        PackagesCollector().collect(fixture_look("software/rpm-berkeley-db"))


def test_a_machine_without_packages_is_no_fault(tmp_path):
    with pytest.raises(AbsentError, match="no packages of dpkg, rpm, apk or pacman"):
        PackagesCollector().collect(fixture_look(str(tmp_path)))


def test_nothing_is_read_again_until_the_database_is_replaced(tmp_path):
    shutil.copytree(os.path.join(FIXTURES, "software/dpkg-torn-and-foreign"), tmp_path, dirs_exist_ok=True)
    collector, look = PackagesCollector(), fixture_look(str(tmp_path))
    first = collector.collect(look)
    assert collector.collect(look) is first
    folder = tmp_path / "var/lib/dpkg"
    (folder / "status-new").write_bytes((folder / "status").read_bytes().replace(b"1:1.22.1-9", b"1:1.22.1-10"))
    os.replace(folder / "status-new", folder / "status")
    second = collector.collect(look)
    old, new = ({package.id: package for package in one.packages} for one in (first, second))
    assert new["nginx"].version == "1:1.22.1-10"
    assert [name for name in new if new[name] is not old[name]] == ["nginx"]


def test_a_database_that_can_no_longer_be_read_leaves_what_it_held(tmp_path, monkeypatch):
    shutil.copytree(os.path.join(FIXTURES, "software/dpkg-torn-and-foreign"), tmp_path, dirs_exist_ok=True)
    collector, look = PackagesCollector(), fixture_look(str(tmp_path))
    first = collector.collect(look)
    status = tmp_path / "var/lib/dpkg/status"
    os.utime(status, ns=(1, 1))
    with monkeypatch.context() as patched:
        patched.setattr(
            DpkgDatabase, "read", lambda self: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
        )
        assert collector.collect(look) is first
    assert (look.notes, look.stale) == (["dpkg's database can't be read: Permission denied"], True)
    again = fixture_look(str(tmp_path))
    assert collector.collect(again) is first
    assert (again.notes, again.stale) == ([], False)


def test_twenty_thousand_packages_stay_the_same_objects(tmp_path):
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    stanza = "Package: p{0}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {0}\n"
    status.write_text("\n".join(stanza.format(number) for number in range(20_000)))
    collector, look = PackagesCollector(), fixture_look(str(tmp_path))
    first = collector.collect(look)
    assert len(first.packages) == 20_000
    os.utime(status, ns=(1, 1))
    assert collector.collect(look) is first


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data):
    for package in [*parse_status(b"Package: a\nStatus: x" + data), *parse_installed(b"P:a\n" + data)]:
        assert package.name
    for one in (parse_desc(b"%NAME%\na\n" + data), header_package(data), header_package(b"\0\0\0\1" + data)):
        assert one is None or one.name


def test_an_unreadable_rpm_database_says_why(tmp_path):
    from safetytwin.collectors.host_root import HostRoot
    from safetytwin.collectors.packages_rpm import RpmDatabase

    folder = tmp_path / "var/lib/rpm"
    folder.mkdir(parents=True)
    (folder / "rpmdb.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(UnreadableDatabaseError, match="rpm's database can't be read: file is not a database"):
        RpmDatabase(HostRoot.fixture(str(tmp_path))).read_if_changed()
