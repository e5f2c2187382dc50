"""What is installed and set up on a machine: packages, who can log in, kernel settings, the administrator's units."""

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each

from safetytwin.models.fields import Count, Record, identity_field, state_field


class Package(Record, frozen=True):
    """One installed package, as its manager's own database has it."""

    manager: A[str, identity_field("dpkg, rpm, apk or pacman.")]
    id: A[str, identity_field("As the manager names it: dpkg's binary:Package, rpm's NAME.ARCH (an older one beside a newer: NAME-EVR.ARCH), else the name.")]
    name: A[str, state_field("Name.")]
    version: A[str | None, state_field("Version with epoch and release.")] = None
    architecture: A[str | None, state_field("Architecture in the manager's words; all, noarch or any where it fits every machine.")] = None
    source: A[str | None, state_field("Source package (dpkg's Source, rpm's SOURCERPM, apk's origin, pacman's base); null where it is of the same name.")] = None
    status: A[str | None, state_field("dpkg's status where it is not installed: unpacked, half-configured, half-installed, triggers-pending, triggers-awaited.")] = None
    held: A[bool | None, state_field("True where dpkg holds it at its version.")] = None


class User(Record, frozen=True):
    """One user of the passwd file who can log in: the shell is none of those that end at once."""

    name: A[str, identity_field("Name.")]
    uid: A[Count | None, state_field("Number.")] = None
    gid: A[Count | None, state_field("Number of the primary group.")] = None
    full_name: A[str | None, state_field("Full name, the first part of the GECOS field.")] = None
    home: A[str | None, state_field("Home directory.")] = None
    shell: A[str | None, state_field("Shell.")] = None
    groups: A[list[str] | None, state_field("Names of the supplementary groups, sorted.")] = None
    password: A[str | None, state_field("usable, locked or none (it logs in without one); never the password or its hash; null where shadow may not be read.")] = None
    expires: A[str | None, state_field("Day from which the account is expired, YYYY-MM-DD.")] = None


class Group(Record, frozen=True):
    """One group that a user who can log in belongs to."""

    name: A[str, identity_field("Name.")]
    gid: A[Count | None, state_field("Number.")] = None
    members: A[list[str] | None, state_field("Supplementary members as the group file lists them, sorted.")] = None


class Sysctl(Record, frozen=True):
    """One kernel setting that a file of sysctl.d(5) or sysctl.conf(5) sets."""

    name: A[str, identity_field("Name, such as vm.swappiness; a slash stands for a dot within a part.")]
    value: A[str | None, state_field("What the kernel has now; null where it may not be read, is no such setting, or is a secret.")] = None
    configured: A[str | None, state_field("What the file that wins says; null where it is a secret.")] = None
    file: A[str | None, state_field("The file that wins.")] = None


class UnitFile(Record, frozen=True):
    """One unit file or drop-in that the administrator wrote: below /etc/systemd/system or /usr/local/lib/systemd/system."""

    path: A[str, identity_field("Path.")]
    unit: A[str, state_field("Unit that it is, or that the drop-in is for.")]
    state: A[str | None, state_field("enabled, disabled, static (nothing to enable), indirect, masked or linked, as UnitFileState; null for a drop-in.")] = None
    target: A[str | None, state_field("Where a linked unit's file lies.")] = None
    size: A[Count | None, state_field("Size.", unit="By")] = None
    sha256: A[str | None, state_field("SHA-256 of the file; null where it may not be read.")] = None
    content: A[str | None, state_field("What is in it, redacted; only where asked for.")] = None


class Software(Record, frozen=True):
    """Installed and set up; each list is null where its collector found no such thing. Read again only where files changed."""

    packages: A[list[Package] | None, state_field("Installed packages.")] = None
    users: A[list[User] | None, state_field("Users who can log in.")] = None
    groups: A[list[Group] | None, state_field("Their groups.")] = None
    sysctl: A[list[Sysctl] | None, state_field("Kernel settings that files set.")] = None
    unit_files: A[list[UnitFile] | None, state_field("Unit files and drop-ins of the administrator.")] = None
