"""Entry points of installed packages are found, and importlib.metadata stays unimported where there are none."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from safetytwin.collectors.other_packages import load_entry_points


def _package(folder: Path) -> None:
    (folder / "sample_collector_package.py").write_text("COLLECTOR = 'found'\n")
    info = folder / "sample_collector_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sample-collector-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sample.group]\none = sample_collector_package:COLLECTOR\n")


def test_an_entry_point_of_an_installed_package_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(load_entry_points("sample.group")) == [("sample_collector_package:COLLECTOR", "found")]
    sys.modules.pop("sample_collector_package", None)


def test_an_entry_point_in_an_archive_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path)
    archive = tmp_path / "packages.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(tmp_path.rglob("*")):
            if file.is_file() and file != archive:
                packed.write(file, file.relative_to(tmp_path))
    monkeypatch.syspath_prepend(str(archive))
    assert list(load_entry_points("sample.group")) == [("sample_collector_package:COLLECTOR", "found")]
    sys.modules.pop("sample_collector_package", None)


def test_another_group_or_an_unreadable_package_loads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path)
    (tmp_path / "broken-1.0.dist-info" / "entry_points.txt").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing")])
    assert list(load_entry_points("another.group")) == []


def test_without_entry_points_nothing_heavy_is_imported() -> None:
    script = (
        "import sys; from safetytwin.collectors.other_packages import load_entry_points;"
        "assert list(load_entry_points('nobody.declares.this')) == []; assert 'importlib.metadata' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
