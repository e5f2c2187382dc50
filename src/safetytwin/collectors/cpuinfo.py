"""/proc/cpuinfo of the architectures that Linux runs on, each with keys of its own."""

import re
from dataclasses import dataclass, field

from safetytwin.collectors.host_root import text_of

# Implementers and parts of the ARM Main ID Register, from util-linux's sys-utils/lscpu-arm.c.
_ARM_IMPLEMENTERS = {
    0x41: "ARM",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x46: "FUJITSU",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "APM",
    0x51: "Qualcomm",
    0x61: "Apple",
    0x6D: "Microsoft",
    0x70: "Phytium",
    0xC0: "Ampere",
}
_ARM_PARTS = {
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0F): "Cortex-A15",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD84): "Neoverse-V3",
    (0x41, 0xD8E): "Neoverse-N3",
    (0x43, 0x0A1): "ThunderX-88XX",
    (0x43, 0x0AF): "ThunderX2-99xx",
    (0x46, 0x001): "A64FX",
    (0x48, 0xD01): "TaiShan-v110",
    (0x4E, 0x003): "Denver 2",
    (0x4E, 0x004): "Carmel",
    (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1a",
}
_MODEL_KEYS = ("model name", "cpu model", "uarch", "cpu")
"""x86 and loongarch, mips, riscv, ppc and sparc: the first that is there."""
_S390_MACHINE = re.compile(r"machine = (\w+)")
_FREQUENCY = re.compile(
    rb"^(processor|cpu number|cpu MHz|CPU MHz|cpu MHz dynamic|clock)\s*:\s*(\d+(?:\.\d+)?)", re.MULTILINE
)


@dataclass(slots=True)
class CpuInfo:
    """What /proc/cpuinfo says: names, and by logical CPU its frequency in MHz and its (package, core)."""

    model: str | None = None
    vendor: str | None = None
    frequencies: dict[int, float] = field(default_factory=dict)
    cores: dict[int, tuple[int | None, int | None]] = field(default_factory=dict)


def parse_cpuinfo(data: bytes) -> CpuInfo:
    """Return what is known from /proc/cpuinfo; where CPUs differ (big and little cores), the models are joined by +."""
    info = CpuInfo()
    models: list[str] = []
    vendors: list[str] = []
    for block in re.split(r"\n\s*\n", text_of(data)):
        values = _values(block)
        model, vendor = _names(values)
        if model is not None and model not in models:
            models.append(model)
        if vendor is not None and vendor not in vendors:
            vendors.append(vendor)
        number = _whole(values.get("processor", values.get("cpu number")))
        if number is None:
            continue
        info.cores[number] = (_whole(values.get("physical id")), _whole(values.get("core id")))
    info.frequencies = parse_frequencies(data)
    info.model = " + ".join(models) or None
    info.vendor = " + ".join(vendors) or None
    return info


def parse_frequencies(data: bytes) -> dict[int, float]:
    """Return the current frequency in MHz by logical CPU, for x86, loongarch, s390 and ppc ("clock")."""
    found: dict[int, float] = {}
    number: int | None = None
    for key, value in _FREQUENCY.findall(data):
        if key in {b"processor", b"cpu number"}:
            number = int(value) if value.isdigit() and len(value) < 10 else None
        elif number is not None and 0 < float(value) < 1e6:
            found.setdefault(number, float(value))
    return found


def _values(block: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in block.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip():
            values.setdefault(key.strip().lower(), value.strip())
    return values


def _names(values: dict[str, str]) -> tuple[str | None, str | None]:
    vendor = values.get("vendor_id") or values.get("vendor")
    implementer, part = _whole(values.get("cpu implementer")), _whole(values.get("cpu part"))
    if implementer is not None:
        vendor = vendor or _ARM_IMPLEMENTERS.get(implementer, f"implementer 0x{implementer:02x}")
        if "model name" not in values and part is not None:
            return _ARM_PARTS.get((implementer, part), f"{vendor} part 0x{part:03x}"), vendor
    for key in _MODEL_KEYS:
        if key in values:
            return values[key], vendor
    machine = _S390_MACHINE.search(values.get("processor 0", ""))
    if machine:
        return f"machine {machine.group(1)}", vendor
    processor = values.get("processor", "")
    if processor and not processor.isdecimal():
        return processor, vendor  # 32-bit ARM before 3.8: "Processor : ARMv7 Processor rev 10 (v7l)"
    return None, vendor


def _whole(text: str | None) -> int | None:
    try:
        value = int(text or "", 0)
    except ValueError:
        return None
    return value if 0 <= value < 1 << 31 else None
