"""How large a twin may be: what QEMU takes, and what the host that runs it can spare."""

import os
from dataclasses import dataclass

from safetytwin.models.fields import MAX_INTEGER
from safetytwin.models.hardware import Cpu, Memory
from safetytwin.vm.shape_records import Deviation, Topology

MIB = 1 << 20
MOST_VCPUS = 255
"""QEMU's x86 machines take no more without interrupt remapping (QEMU docs, q35)."""
_MOST_MEMORY = 4 << 40
"""Bytes: within the 42 bits of address that the smallest CPU model of TCG and KVM hosts has in common."""
_LEAST_MEMORY = 128 * MIB
_UNKNOWN_MEMORY = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Host:
    """What the machine that runs the twins has."""

    cpus: int
    memory: int
    """Bytes."""

    @classmethod
    def here(cls) -> "Host":
        """Return this machine."""
        return cls(os.cpu_count() or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


@dataclass(frozen=True, slots=True)
class Size:
    """vCPUs and memory of a twin, now and at most."""

    vcpus: int
    topology: Topology
    memory: int
    max_memory: int
    deviations: tuple[Deviation, ...]


def sized(cpu: Cpu | None, memory: Memory | None, host: Host | None) -> Size:
    """Return how large the twin is; the ceilings are twice that, so that it can grow while it runs.

    A twin gets at most the host's CPUs and half of its memory; without a host only QEMU's own limits hold.
    """
    deviations: list[Deviation] = []
    most_vcpus = MOST_VCPUS if host is None else max(1, min(MOST_VCPUS, host.cpus))
    vcpus = _vcpus(cpu, most_vcpus, host, deviations)
    most_memory = _MOST_MEMORY if host is None else max(_LEAST_MEMORY, min(_MOST_MEMORY, whole_mib(host.memory // 2)))
    given = _memory(memory, most_memory, host, deviations)
    topology = _topology(cpu, vcpus, most_vcpus)
    return Size(vcpus, topology, given, max(given, min(2 * given, most_memory)), tuple(deviations))


def whole_mib(size: int) -> int:
    """Return bytes rounded up to whole MiB, no more than a state may hold."""
    return min(-(-size // MIB) * MIB, MAX_INTEGER // MIB * MIB)


def _vcpus(cpu: Cpu | None, most: int, host: Host | None, deviations: list[Deviation]) -> int:
    wanted = None if cpu is None else cpu.cores_logical
    if not wanted:
        deviations.append(Deviation("vcpus", "how many CPUs the machine has is not known", given=1))
        return 1
    if wanted <= most:
        return wanted
    limit = f"QEMU takes at most {MOST_VCPUS}" if most == MOST_VCPUS or host is None else f"the host has {host.cpus}"
    deviations.append(Deviation("vcpus", f"the machine has {wanted} CPUs, {limit}", wanted=wanted, given=most))
    return most


def _memory(memory: Memory | None, most: int, host: Host | None, deviations: list[Deviation]) -> int:
    total = None if memory is None else memory.total
    if not total:
        given = min(_UNKNOWN_MEMORY, most)
        deviations.append(Deviation("memory", "how much memory the machine has is not known", given=given))
        return given
    wanted = whole_mib(total)
    if wanted < _LEAST_MEMORY:
        deviations.append(Deviation("memory", "no system boots in less", wanted=wanted, given=_LEAST_MEMORY))
        return _LEAST_MEMORY
    if wanted > most:
        reason = "more than QEMU can address everywhere" if host is None else "a twin gets at most half of the host's"
        deviations.append(Deviation("memory", reason, wanted=wanted, given=most))
        return most
    return wanted


def _topology(cpu: Cpu | None, vcpus: int, most: int) -> Topology:
    """Return places for twice the vCPUs, arranged as the machine's where its numbers are even, else one a socket."""
    sockets, physical = (None, None) if cpu is None else (cpu.sockets, cpu.cores_physical)
    if sockets and physical and physical % sockets == 0 and vcpus % physical == 0:
        in_one = vcpus // sockets
        return Topology(min(2 * sockets, most // in_one), physical // sockets, vcpus // physical)
    return Topology(min(2 * vcpus, most), 1, 1)
