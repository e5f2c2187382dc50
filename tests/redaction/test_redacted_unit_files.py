"""Secrets in the contents of unit files."""

import msgspec
import pytest

from parts.small_states import state
from safetytwin.models.software import Package, Software, UnitFile
from safetytwin.redaction import Redactor
from safetytwin.redaction.unit_file import redact_unit_file


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('Environment="DB_PASSWORD=s3cret s3cret" LANG=C', 'Environment="DB_PASSWORD=[redacted]" LANG=C'),
        ("Environment=API_KEY=abc", "Environment=API_KEY=[redacted]"),
        ("Environment=GREETING=hello", "Environment=GREETING=[redacted]"),
        ("Environment=A=1 \\\n  TOKEN=abc", "Environment=A=[redacted] \\\n  TOKEN=[redacted]"),
        ("ExecStart=/bin/run --token hunter2 --port 80", "ExecStart=/bin/run --token [redacted] --port 80"),
        ("ExecStart=/bin/run --api-key 'one two' -v", "ExecStart=/bin/run --api-key [redacted] -v"),
        ("ExecStart=/usr/bin/mysqldump -phunter2 db", "ExecStart=/usr/bin/mysqldump -p[redacted] db"),
        ("SetCredential=db:hunter2", "SetCredential=db:[redacted]"),
        ("# password=hunter2", "# password=[redacted]"),
        ("EnvironmentFile=/etc/app/secrets.env", "EnvironmentFile=/etc/app/secrets.env"),
        ('ExecStart=/bin/sh -c "echo  two   spaces"', 'ExecStart=/bin/sh -c "echo  two   spaces"'),
        ("WantedBy=multi-user.target", "WantedBy=multi-user.target"),
    ],
)
def test_a_line_of_a_unit_file(written, shown):
    assert redact_unit_file(f"[Service]\n{written}\n") == f"[Service]\n{shown}\n"


def test_the_contents_of_unit_files_pass_the_choke_point():
    file = UnitFile("/etc/systemd/system/a.service", "a.service", content="[Service]\nEnvironment=PIN=1234\n")
    shown = Redactor().redact(msgspec.structs.replace(state(), software=Software(unit_files=[file])))
    assert shown.software.unit_files[0].content == "[Service]\nEnvironment=PIN=[redacted]\n"


def test_packages_whose_names_sound_secret_are_shown_and_the_same_again():
    packages = [
        Package("dpkg", "libtoken:amd64", "libtoken", "1:2"),
        Package("rpm", "a-secret-1:2-3.x86_64", "a-secret"),
    ]
    redactor = Redactor()
    first = redactor.redact(msgspec.structs.replace(state(), software=Software(packages=packages)))
    second = redactor.redact(msgspec.structs.replace(state(), software=Software(packages=packages)))
    assert first.software.packages is second.software.packages is packages
