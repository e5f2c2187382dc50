"""What other programs call our fields: the field, then the names that mean it."""

from collections.abc import Mapping

_TABLE = """
SystemState.timestamp        time collected_at
Hardware.hostname            host node
Hardware.kernel_version      kernel
Hardware.memory              ram mem
Hardware.uptime              uptime_seconds
Hardware.gpu                 gpus
Hardware.network             interfaces networks
Hardware.disks               filesystems mounts
Cpu.cores_physical           physical_cores count_physical
Cpu.cores_logical            logical_cores count_logical count
Cpu.usage_percent            percent cpu_percent usage
Cpu.cores                    per_cpu
Cpu.model                    brand model_name name
Cpu.architecture             arch
Cpu.vendor                   vendor_id
Cpu.load_average             loadavg load_avg load
Cpu.frequency_mhz            mhz current_mhz
Cpu.frequency_max_mhz        max_mhz
Cpu.frequency_min_mhz        min_mhz
CpuCore.id                   cpu index core
CpuCore.usage_percent        percent usage
Memory.usage_percent         percent used_percent
Memory.total                 size
Memory.available             avail
Swap.usage_percent           percent used_percent
Swap.total                   size
Disk.usage_percent           percent used_percent
Disk.mountpoint              mount mount_point path
Disk.fstype                  fs_type type
Disk.device                  filesystem
Disk.total                   size
Disk.free                    available avail
Disk.options                 opts
Interface.name               interface iface
Interface.mac                mac_address hwaddr hardware_addr
Interface.tx_bytes           bytes_sent
Interface.rx_bytes           bytes_recv
Interface.tx_packets         packets_sent
Interface.rx_packets         packets_recv
Interface.rx_errors          errin
Interface.tx_errors          errout
Interface.rx_dropped         dropin
Interface.tx_dropped         dropout
Interface.addresses          ips
Interface.speed_mbps         speed
Interface.kind               type
Address.address              ip addr
Gpu.uuid                     id
Gpu.temperature_celsius      temperature temp
Gpu.utilization_percent      utilization utilization_gpu gpu_utilization
Gpu.power_watts              power power_draw
Gpu.memory_total             memory
Gpu.name                     model
Service.name                 unit service
Service.id                   container_id
Service.type                 kind
Service.status               state active_state active
Service.sub_status           sub_state sub
Service.load_state           load
Service.unit_file_state      enabled
Service.pid                  main_pid
Service.uptime_seconds       uptime
Service.start_time           started_at started
Service.created              created_at
Service.volumes              mounts
Service.environment          env
Service.restarts             restart_count
Service.cpu_percent          cpu
Service.memory               memory_usage mem_usage
Service.command              cmd
Port.container_port          port private_port PrivatePort
Port.host_port               public_port PublicPort HostPort
Port.host_ip                 HostIp IP ip
Port.protocol                Type type proto
Volume.target                destination Destination container_path mountpoint
Volume.source                Source host_path
Volume.kind                  type Type
Volume.read_only             ro
Process.ppid                 parent_pid parent
Process.username             user owner
Process.name                 comm
Process.cmdline              command_line command cmd args
Process.status               state stat
Process.cpu_percent          cpu
Process.memory_percent       mem
Process.num_threads          threads
Process.create_time          started start_time started_at
Process.environment          env environ
Process.memory_info          memory
Process.io_counters          io
Process.num_fds              fds
Process.cwd                  working_directory
Connection.local_address     laddr
Connection.remote_address    raddr
Connection.status            state
Connection.type              protocol
"""


def _aliases() -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in _TABLE.strip().splitlines():
        field, *spellings = line.split()
        record, _, name = field.partition(".")
        found.setdefault(record, {}).update(dict.fromkeys(spellings, name))
    return found


ALIASES = _aliases()
"""By record, by the name that another program uses: the field that it means."""
