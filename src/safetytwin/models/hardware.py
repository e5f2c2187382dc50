"""The machine: host, CPU, memory, disks, network, GPUs and sensors."""

from __future__ import annotations  # what is said of the fields is evaluated where it is asked for; a look never asks

from typing import Annotated as A  # noqa: N817 - the fields below are a table, one row each

from safetytwin.models.fields import Count, Number, Record, gauge_field, identity_field, state_field


class OperatingSystem(Record, frozen=True):
    """The distribution, as os-release(5) names it."""

    id: A[str | None, state_field("Lower-case name, such as debian.", otel="os.name")] = None
    name: A[str | None, state_field("Name for people, such as Debian GNU/Linux 12 (bookworm).", otel="os.description")] = None
    version: A[str | None, state_field("VERSION_ID, such as 12.", otel="os.version")] = None
    codename: A[str | None, state_field("VERSION_CODENAME, such as bookworm.")] = None
    id_like: A[list[str] | None, state_field("Related distributions.")] = None


class Dmi(Record, frozen=True):
    """What the firmware says of the machine (SMBIOS, /sys/class/dmi/id)."""

    vendor: A[str | None, state_field("sys_vendor.")] = None
    product: A[str | None, state_field("product_name.")] = None
    version: A[str | None, state_field("product_version.")] = None
    serial: A[str | None, state_field("product_serial; readable by root only.")] = None
    uuid: A[str | None, state_field("product_uuid; readable by root only.")] = None
    board: A[str | None, state_field("board_name.")] = None
    bios_vendor: A[str | None, state_field("bios_vendor.")] = None
    bios_version: A[str | None, state_field("bios_version.")] = None
    bios_date: A[str | None, state_field("bios_date.")] = None
    chassis_type: A[str | None, state_field("chassis_type, the number of the SMBIOS specification.")] = None


class Pressure(Record, frozen=True):
    """Pressure stall information of one resource (kernel Documentation/accounting/psi.rst)."""

    some_avg10: A[Number | None, gauge_field("Share of time in which some task waited, over 10 seconds.", unit="%")] = None
    some_avg60: A[Number | None, gauge_field("The same over 60 seconds.", unit="%")] = None
    some_avg300: A[Number | None, gauge_field("The same over 300 seconds.", unit="%")] = None
    full_avg10: A[Number | None, gauge_field("Share of time in which all tasks waited, over 10 seconds.", unit="%")] = None
    full_avg60: A[Number | None, gauge_field("The same over 60 seconds.", unit="%")] = None
    full_avg300: A[Number | None, gauge_field("The same over 300 seconds.", unit="%")] = None


class CpuCore(Record, frozen=True):
    """One logical CPU; the numbering is the kernel's and keeps its holes where CPUs are offline."""

    id: A[Count, identity_field("Number of the logical CPU.", otel="cpu.logical_number")]
    usage_percent: A[Number | None, gauge_field("Time not idle between two looks.", unit="%", otel="system.cpu.utilization")] = None
    frequency_mhz: A[Number | None, gauge_field("Current frequency.", unit="MHz", otel="system.cpu.frequency")] = None
    core_id: A[Count | None, state_field("Physical core it belongs to.")] = None
    package_id: A[Count | None, state_field("Socket it belongs to.")] = None


class CpuTimes(Record, frozen=True):
    """Where the CPU's time went between two looks, all CPUs together; the shares sum to 100."""

    user: A[Number | None, gauge_field("User time, niced included.", unit="%")] = None
    system: A[Number | None, gauge_field("System time.", unit="%")] = None
    idle: A[Number | None, gauge_field("Idle time.", unit="%")] = None
    iowait: A[Number | None, gauge_field("Idle with I/O outstanding.", unit="%")] = None
    irq: A[Number | None, gauge_field("Hard and soft interrupts.", unit="%")] = None
    steal: A[Number | None, gauge_field("Taken by the hypervisor.", unit="%")] = None


class Cpu(Record, frozen=True):
    """The processors: the online set."""

    model: A[str | None, state_field("Model name.", otel="host.cpu.model.name")] = None
    vendor: A[str | None, state_field("Vendor id.", otel="host.cpu.vendor.id")] = None
    architecture: A[str | None, state_field("Machine architecture, such as x86_64.", otel="host.arch")] = None
    cores_physical: A[Count | None, state_field("Physical cores of the online CPUs.", otel="system.cpu.physical.count")] = (None)
    cores_logical: A[Count | None, state_field("Logical CPUs online.", otel="system.cpu.logical.count")] = None
    sockets: A[Count | None, state_field("Sockets of the online CPUs.")] = None
    online: A[str | None, state_field("The online set as the kernel writes it, such as 0-3,6.")] = None
    usage_percent: A[Number | None, gauge_field("Time not idle between two looks, of the machine.", unit="%", otel="system.cpu.utilization")] = None
    cores: A[list[CpuCore] | None, gauge_field("Each logical CPU that is online.")] = None
    times: A[CpuTimes | None, gauge_field("Where the time went.")] = None
    frequency_mhz: A[Number | None, gauge_field("Mean current frequency of the online CPUs.", unit="MHz", otel="system.cpu.frequency")] = None
    frequency_max_mhz: A[Number | None, state_field("Highest frequency the hardware allows.", unit="MHz")] = None
    frequency_min_mhz: A[Number | None, state_field("Lowest frequency the hardware allows.", unit="MHz")] = None
    load_average: A[list[Number] | None, gauge_field("Load over 1, 5 and 15 minutes (three numbers).", unit="1")] = None
    pressure: A[Pressure | None, gauge_field("Waiting for CPU.")] = None
    limit_cores: A[Number | None, state_field("CPU quota of the cgroup that the agent's view is inside of.", unit="1")] = None
    context_switches: A[Count | None, gauge_field("Context switches since boot.", unit="1")] = None
    interrupts: A[Count | None, gauge_field("Interrupts since boot.", unit="1")] = None
    processes_created: A[Count | None, gauge_field("Forks since boot.", unit="1")] = None


class Swap(Record, frozen=True):
    """Swap space; the whole record is null where the machine has none."""

    total: A[Count | None, state_field("Size.", unit="By", otel="system.paging.limit")] = None
    used: A[Count | None, gauge_field("In use.", unit="By", otel="system.paging.usage")] = None
    free: A[Count | None, gauge_field("Free.", unit="By")] = None
    usage_percent: A[Number | None, gauge_field("In use.", unit="%", otel="system.paging.utilization")] = None
    in_per_second: A[Number | None, gauge_field("Swapped in between two looks.", unit="By/s")] = None
    out_per_second: A[Number | None, gauge_field("Swapped out between two looks.", unit="By/s")] = None


class MemoryLimit(Record, frozen=True):
    """The memory cgroup that the agent's view of the machine is inside of, where it has a limit."""

    limit: A[Count | None, state_field("Limit of the cgroup.", unit="By")] = None
    used: A[Count | None, gauge_field("In use, reclaimable page cache taken off.", unit="By")] = None


class Memory(Record, frozen=True):
    """Main memory (kernel Documentation/filesystems/proc.rst, meminfo)."""

    total: A[Count | None, state_field("Usable memory.", unit="By", otel="system.memory.limit")] = None
    available: A[Count | None, gauge_field("What can be had without swapping.", unit="By", otel="system.linux.memory.available")] = None
    used: A[Count | None, gauge_field("total - available.", unit="By", otel="system.memory.usage")] = None
    free: A[Count | None, gauge_field("Not used at all.", unit="By")] = None
    usage_percent: A[Number | None, gauge_field("used of total.", unit="%", otel="system.memory.utilization")] = None
    buffers: A[Count | None, gauge_field("Block device buffers.", unit="By")] = None
    cached: A[Count | None, gauge_field("Page cache with reclaimable slab.", unit="By")] = None
    shared: A[Count | None, gauge_field("tmpfs and shared memory.", unit="By", otel="system.memory.linux.shared")] = None
    slab: A[Count | None, gauge_field("Kernel slabs.", unit="By", otel="system.memory.linux.slab.usage")] = None
    dirty: A[Count | None, gauge_field("Waiting to be written.", unit="By")] = None
    huge_pages_total: A[Count | None, state_field("Huge pages in the pool.", unit="1")] = None
    huge_pages_free: A[Count | None, gauge_field("Huge pages not in use.", unit="1")] = None
    huge_page_size: A[Count | None, state_field("Size of one.", unit="By")] = None
    swap: A[Swap | None, state_field("Swap space; null where there is none.")] = None
    pressure: A[Pressure | None, gauge_field("Waiting for memory.")] = None
    limit: A[MemoryLimit | None, state_field("The cgroup's limit, where the machine is one.")] = None
    oom_kills: A[Count | None, state_field("Processes killed for memory since boot (vmstat oom_kill).", unit="1")] = None


class Disk(Record, frozen=True):
    """One mount of a file system that holds data."""

    mountpoint: A[str, identity_field("Where it is mounted.", otel="system.filesystem.mountpoint")]
    device: A[str | None, state_field("What is mounted, such as /dev/sda1 or server:/export.", otel="system.device")] = None
    device_id: A[str | None, state_field("major:minor of the file system.")] = None
    fstype: A[str | None, state_field("File system type.", otel="system.filesystem.type")] = None
    options: A[list[str] | None, state_field("Mount options.")] = None
    read_only: A[bool | None, state_field("Mounted read-only.")] = None
    kind: A[str | None, state_field("local, network, memory, overlay, image (squashfs, iso9660) or fuse.")] = None
    bind_of: A[str | None, state_field("Mountpoint of the same file system that shows all of it, or the first one, where this is a bind mount or a duplicate.")] = None
    root: A[str | None, state_field("The part of the file system that is mounted, where it is not all of it.")] = None
    total: A[Count | None, state_field("Size.", unit="By", otel="system.filesystem.limit")] = None
    used: A[Count | None, gauge_field("In use.", unit="By", otel="system.filesystem.usage")] = None
    free: A[Count | None, gauge_field("Free for users who are not root.", unit="By")] = None
    usage_percent: A[Number | None, gauge_field("In use of what users can have, as df prints it.", unit="%", otel="system.filesystem.utilization")] = None
    inodes_total: A[Count | None, state_field("Inodes; null where the file system has no fixed number.", unit="1")] = None
    inodes_used: A[Count | None, gauge_field("Inodes in use.", unit="1")] = None
    inodes_free: A[Count | None, gauge_field("Inodes free.", unit="1")] = None
    status: A[str | None, state_field("ok, stale (it did not answer in time: figures of an earlier look), denied or failed (it answered with an error).")] = None


class BlockDevice(Record, frozen=True):
    """One block device, disk or partition; a disk's I/O includes its partitions': never sum the two."""

    name: A[str, identity_field("Kernel name, such as nvme0n1p1.", otel="system.device")]
    parent: A[str | None, state_field("The disk a partition is on.")] = None
    kind: A[str | None, state_field("disk, partition, md, dm, loop, zram, rom.")] = None
    model: A[str | None, state_field("Model.")] = None
    serial: A[str | None, state_field("Serial number.")] = None
    size: A[Count | None, state_field("Size.", unit="By")] = None
    rotational: A[bool | None, state_field("Spinning disk.")] = None
    removable: A[bool | None, state_field("Removable.")] = None
    read_bytes: A[Count | None, gauge_field("Read since boot.", unit="By", otel="system.disk.io")] = None
    write_bytes: A[Count | None, gauge_field("Written since boot.", unit="By", otel="system.disk.io")] = None
    reads: A[Count | None, gauge_field("Reads since boot.", unit="1", otel="system.disk.operations")] = None
    writes: A[Count | None, gauge_field("Writes since boot.", unit="1", otel="system.disk.operations")] = None
    read_bytes_per_second: A[Number | None, gauge_field("Read between two looks.", unit="By/s")] = None
    write_bytes_per_second: A[Number | None, gauge_field("Written between two looks.", unit="By/s")] = None
    busy_percent: A[Number | None, gauge_field("Share of time with I/O under way.", unit="%", otel="system.disk.io_time")] = (None)


class Address(Record, frozen=True):
    """One address of an interface."""

    address: A[str, state_field("The address, without prefix or zone.", otel="network.local.address")]
    family: A[str, state_field("ipv4 or ipv6.", otel="network.type")]
    prefix: A[Count | None, state_field("Prefix length.")] = None
    scope: A[str | None, state_field("global, link, host or site.")] = None


class Interface(Record, frozen=True):
    """One network interface of the agent's network namespace."""

    name: A[str, identity_field("Name, such as eth0.", otel="network.interface.name")]
    index: A[Count | None, state_field("Kernel index.")] = None
    mac: A[str | None, state_field("Hardware address.")] = None
    kind: A[str | None, state_field("ethernet, loopback, wireless, bridge, bond, vlan, veth, tun, wireguard, or null where the kernel does not say.")] = None
    driver: A[str | None, state_field("Kernel driver.")] = None
    physical: A[bool | None, state_field("Backed by a device.")] = None
    flags: A[list[str] | None, state_field("up, running, broadcast, loopback, multicast, promisc, noarp, …")] = None
    operstate: A[str | None, state_field("up, down, dormant, lowerlayerdown, unknown.")] = None
    master: A[str | None, state_field("Bridge or bond it belongs to.")] = None
    mtu: A[Count | None, state_field("MTU.", unit="By")] = None
    speed_mbps: A[Count | None, state_field("Link speed; null where unknown.", unit="Mbit/s")] = None
    duplex: A[str | None, state_field("full or half.")] = None
    addresses: A[list[Address] | None, state_field("IPv4 and IPv6 addresses.")] = None
    rx_bytes: A[Count | None, gauge_field("Received since the interface came.", unit="By", otel="system.network.io")] = None
    tx_bytes: A[Count | None, gauge_field("Sent.", unit="By", otel="system.network.io")] = None
    rx_packets: A[Count | None, gauge_field("Packets received.", unit="1", otel="system.network.packet.count")] = None
    tx_packets: A[Count | None, gauge_field("Packets sent.", unit="1", otel="system.network.packet.count")] = None
    rx_errors: A[Count | None, gauge_field("Receive errors.", unit="1", otel="system.network.errors")] = None
    tx_errors: A[Count | None, gauge_field("Send errors.", unit="1", otel="system.network.errors")] = None
    rx_dropped: A[Count | None, gauge_field("Dropped on receipt.", unit="1", otel="system.network.packet.dropped")] = None
    tx_dropped: A[Count | None, gauge_field("Dropped on sending.", unit="1", otel="system.network.packet.dropped")] = None
    rx_bytes_per_second: A[Number | None, gauge_field("Received between two looks.", unit="By/s")] = None
    tx_bytes_per_second: A[Number | None, gauge_field("Sent between two looks.", unit="By/s")] = None


class Sensor(Record, frozen=True):
    """One reading of a hardware monitor (hwmon or thermal zone)."""

    id: A[str, identity_field("Chip and input, such as coretemp-isa-0000:temp1.")]
    kind: A[str, state_field("temperature, fan, power, voltage, current or energy.")]
    label: A[str | None, state_field("Label, such as Package id 0.", otel="hw.name")] = None
    value: A[Number | None, gauge_field("Reading in unit.", otel="hw.temperature")] = None
    unit: A[str | None, state_field("Cel, rpm, W, V, A or J.")] = None
    high: A[Number | None, state_field("Threshold that counts as high.")] = None
    critical: A[Number | None, state_field("Threshold that counts as critical.")] = None


class GpuProcess(Record, frozen=True):
    """One process that a GPU's driver says it serves."""

    pid: A[Count, state_field("Process id in the agent's PID namespace.", otel="process.pid")]
    start_ticks: A[Count | None, state_field("Start of the process (guards against a reused pid); null where it can't be seen.")] = None
    kind: A[str | None, state_field("compute, graphics or both.")] = None
    memory: A[Count | None, gauge_field("GPU memory it holds.", unit="By")] = None
    sm_percent: A[Number | None, gauge_field("Share of the compute engines.", unit="%")] = None
    memory_percent: A[Number | None, gauge_field("Share of memory bandwidth.", unit="%")] = None
    encoder_percent: A[Number | None, gauge_field("Share of the video encoder.", unit="%")] = None
    decoder_percent: A[Number | None, gauge_field("Share of the video decoder.", unit="%")] = None
    gpu_instance_id: A[Count | None, state_field("MIG GPU instance.")] = None
    compute_instance_id: A[Count | None, state_field("MIG compute instance.")] = None


class MigDevice(Record, frozen=True):
    """One MIG slice of an NVIDIA GPU."""

    uuid: A[str, state_field("UUID of the slice.")]
    name: A[str | None, state_field("Profile name, such as NVIDIA H100 MIG 1g.10gb.")] = None
    gpu_instance_id: A[Count | None, state_field("GPU instance.")] = None
    compute_instance_id: A[Count | None, state_field("Compute instance.")] = None
    memory_total: A[Count | None, state_field("Memory of the slice.", unit="By")] = None
    memory_used: A[Count | None, gauge_field("In use.", unit="By")] = None


class GpuLink(Record, frozen=True):
    """One NVLink."""

    index: A[Count, state_field("Number of the link.")]
    active: A[bool | None, state_field("Up.")] = None
    version: A[Count | None, state_field("NVLink version.")] = None
    remote_pci_bus_id: A[str | None, state_field("The other end.")] = None


class Gpu(Record, frozen=True):
    """One GPU."""

    uuid: A[str, identity_field("Stable id: the driver's UUID, or pci:ADDRESS where the driver has none.", otel="hw.id")]
    vendor: A[str, state_field("nvidia, amd or intel.", otel="hw.vendor")]
    index: A[Count | None, state_field("Index that the driver gives it now.")] = None
    name: A[str | None, state_field("Product name.", otel="hw.name")] = None
    status: A[str | None, state_field("ok, lost (fell off the bus), denied or failed.", otel="hw.status")] = None
    error: A[str | None, state_field("What the driver said where status is not ok.")] = None
    pci_bus_id: A[str | None, state_field("PCI address, such as 0000:01:00.0.")] = None
    pci_id: A[str | None, state_field("vendor:device in hexadecimal, such as 10de:2330.")] = None
    serial: A[str | None, state_field("Board serial number.")] = None
    driver: A[str | None, state_field("Kernel driver: nvidia, amdgpu, i915, xe.", otel="hw.driver_version")] = None
    driver_version: A[str | None, state_field("Driver version.")] = None
    cuda_version: A[str | None, state_field("Highest CUDA version that the driver supports, such as 13.0.")] = None
    vbios_version: A[str | None, state_field("Firmware of the board.", otel="hw.firmware_version")] = None
    numa_node: A[Count | None, state_field("NUMA node.")] = None
    compute_mode: A[str | None, state_field("default, exclusive_process or prohibited.")] = None
    persistence_mode: A[bool | None, state_field("Persistence mode.")] = None
    mig_mode: A[bool | None, state_field("MIG enabled; null where not supported.")] = None
    mig_devices: A[list[MigDevice] | None, state_field("MIG slices.")] = None
    utilization_percent: A[Number | None, gauge_field("Share of time in which a kernel ran.", unit="%", otel="hw.gpu.utilization")] = None
    memory_utilization_percent: A[Number | None, gauge_field("Share of time in which memory was read or written.", unit="%")] = None
    encoder_percent: A[Number | None, gauge_field("Video encoder.", unit="%")] = None
    decoder_percent: A[Number | None, gauge_field("Video decoder.", unit="%")] = None
    engines_percent: A[dict[str, Number] | None, gauge_field("Each engine between two looks (DRM fdinfo or sysfs).", unit="%")] = None
    memory_total: A[Count | None, state_field("Device memory.", unit="By", otel="hw.gpu.memory.limit")] = None
    memory_used: A[Count | None, gauge_field("In use.", unit="By", otel="hw.gpu.memory.usage")] = None
    memory_free: A[Count | None, gauge_field("Free.", unit="By")] = None
    memory_reserved: A[Count | None, gauge_field("Kept by the driver.", unit="By")] = None
    gtt_total: A[Count | None, state_field("System memory that the GPU may map (AMD GTT).", unit="By")] = None
    gtt_used: A[Count | None, gauge_field("In use.", unit="By")] = None
    temperature_celsius: A[Number | None, gauge_field("Core temperature.", unit="Cel", otel="hw.temperature")] = None
    memory_temperature_celsius: A[Number | None, gauge_field("Memory temperature.", unit="Cel")] = None
    power_watts: A[Number | None, gauge_field("Power drawn.", unit="W", otel="hw.power")] = None
    power_limit_watts: A[Number | None, state_field("Enforced power limit.", unit="W")] = None
    energy_joules: A[Number | None, gauge_field("Energy since the driver was loaded.", unit="J", otel="hw.energy")] = None
    fan_percent: A[Number | None, gauge_field("Fan speed.", unit="%", otel="hw.fan.speed_ratio")] = None
    clock_graphics_mhz: A[Number | None, gauge_field("Graphics clock.", unit="MHz")] = None
    clock_sm_mhz: A[Number | None, gauge_field("SM clock.", unit="MHz")] = None
    clock_memory_mhz: A[Number | None, gauge_field("Memory clock.", unit="MHz")] = None
    clock_video_mhz: A[Number | None, gauge_field("Video clock.", unit="MHz")] = None
    clock_graphics_max_mhz: A[Number | None, state_field("Highest graphics clock.", unit="MHz")] = None
    clock_memory_max_mhz: A[Number | None, state_field("Highest memory clock.", unit="MHz")] = None
    performance_state: A[str | None, gauge_field("P0 (fastest) to P15.")] = None
    throttle_reasons: A[list[str] | None, gauge_field("Why clocks are held down (NVML clocks event reasons).")] = None
    ecc_mode: A[bool | None, state_field("ECC on.")] = None
    ecc_corrected: A[Count | None, gauge_field("Corrected errors since the driver was loaded.", unit="1", otel="hw.errors")] = None
    ecc_uncorrected: A[Count | None, state_field("Uncorrected errors since the driver was loaded.", unit="1", otel="hw.errors")] = None
    remapped_rows: A[dict[str, int | bool] | None, state_field("correctable, uncorrectable, pending, failure.")] = None
    retired_pages: A[Count | None, state_field("Pages retired for errors.", unit="1")] = None
    pcie_generation: A[Count | None, gauge_field("PCIe generation now.")] = None
    pcie_generation_max: A[Count | None, state_field("Highest PCIe generation.")] = None
    pcie_width: A[Count | None, gauge_field("PCIe lanes now.")] = None
    pcie_width_max: A[Count | None, state_field("Most PCIe lanes.")] = None
    pcie_rx_bytes_per_second: A[Number | None, gauge_field("Received over PCIe.", unit="By/s", otel="hw.gpu.io")] = None
    pcie_tx_bytes_per_second: A[Number | None, gauge_field("Sent over PCIe.", unit="By/s", otel="hw.gpu.io")] = None
    links: A[list[GpuLink] | None, state_field("NVLinks.")] = None
    processes: A[list[GpuProcess] | None, gauge_field("Processes it serves; null where the driver can't say.")] = None


class Hardware(Record, frozen=True):
    """The machine and its operating system."""

    hostname: A[str | None, state_field("Name of the host.", otel="host.name")] = None
    platform: A[str | None, state_field("Kernel: Linux, Darwin, Windows, FreeBSD.", otel="os.type")] = None
    platform_version: A[str | None, state_field("What the kernel says of its build (uname -v).")] = None
    kernel_version: A[str | None, state_field("Kernel release (uname -r).", otel="os.build_id")] = None
    os: A[OperatingSystem | None, state_field("The distribution.")] = None
    uptime: A[Number | None, gauge_field("Time since boot, sleep included.", unit="s", otel="system.uptime")] = None
    boot_time: A[str | None, state_field("Moment of boot, RFC 3339 UTC.")] = None
    virtualization: A[str | None, state_field("What it runs on: kvm, vmware, docker, lxc, wsl, none, …, in systemd-detect-virt's words.")] = None
    dmi: A[Dmi | None, state_field("What the firmware says.")] = None
    cpu: A[Cpu | None, state_field("Processors.")] = None
    memory: A[Memory | None, state_field("Main memory.")] = None
    disks: A[list[Disk] | None, state_field("Mounts that hold data.")] = None
    block_devices: A[list[BlockDevice] | None, state_field("Disks and partitions with their I/O.")] = None
    network: A[list[Interface] | None, state_field("Network interfaces.")] = None
    gpu: A[dict[str, list[Gpu]] | None, state_field("GPUs by vendor.")] = None
    sensors: A[list[Sensor] | None, state_field("Hardware monitors.")] = None
