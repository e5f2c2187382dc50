"""A machine every name of which tries to be more than a name."""

import msgspec

from parts.small_states import state, unit
from safetytwin.models.hardware import Cpu, Disk, Gpu, Memory
from safetytwin.models.service import Limits, Port, Service, Volume
from safetytwin.models.software import Group, Package, Software, Sysctl, UnitFile, User

TEMPLATE = "{{ lookup('pipe', 'touch /tmp/pwned') }}{% if 1 %}{# #}"
MARKUP = "a|b\n# c <script>alert(1)</script> [x](http://evil) `y` ${HOME} *z* \\ &amp; \x1b[31m \u202e www.evil.org"
YAML = 'x: y\n- "z" # \' !!python/object/apply:os.system ["id"] \x85 \u2028 &a *a %TAG'


def hostile_machine():
    text = f"{TEMPLATE} {MARKUP} {YAML}"
    machine = state(
        services=(
            unit(f"-o {text}.service", unit_file_state="enabled", description=text),
            unit("good.service", unit_file_state="enabled", description=text),
            unit("stopped.service", "inactive", unit_file_state="disabled"),
            unit("hidden.service", "inactive", unit_file_state="masked"),
            Service(
                type="docker",
                id="ab" * 32,
                name=text,
                image=text,
                status="running",
                command=["sh", "-c", text, "--token=[redacted]"],
                hostname=text,
                user=text,
                environment={"TOKEN": "[redacted]", "HOME": text, text: "[redacted] and [redacted]"},
                labels={text: text, "secret": "[redacted]", "com.docker.compose.project": "p"},
                ports=[Port(80, "tcp", "127.0.0.1", 8080), Port(53, "udp")],
                volumes=[Volume(f"/{text}", f"/{text}", "bind", read_only=True), Volume("/v", text, "volume")],
                networks=[text],
                restart_policy="unless-stopped",
                limits=Limits(memory=67108864, cpus=0.5, pids=50),
            ),
        ),
        os=None,
        cpu=Cpu(model=text),
        memory=Memory(total=1 << 30),
        disks=[Disk(f"/{text}", device=text)],
        gpu={text: [Gpu(text, text, remapped_rows={text: 1})]},
    )
    return msgspec.structs.replace(
        machine,
        hardware=msgspec.structs.replace(machine.hardware, hostname=text),
        software=Software(
            packages=[Package("dpkg", "nginx", "nginx", "1", held=True), Package("dpkg", f"-o{text}", text, text)],
            users=[
                User("ada", 1000, 1000, text, "/home/ada", "/bin/sh", ["docker", f"-x{text}"], "locked", "2026-01-01"),
                User(f"-x{text}", 1001, 1001),
            ],
            groups=[Group("ada", 1000), Group("docker", 996, ["ada"]), Group(f"-x{text}", 1001)],
            sysctl=[
                Sysctl("vm.swappiness", "1", "1", "/etc/sysctl.d/a.conf"),
                Sysctl("kernel.core_pattern", None, "|/bin/sh\nkernel.modprobe=/tmp/x", "/etc/sysctl.d/a.conf"),
                Sysctl("kernel.panic", "1", "1", "/usr/lib/sysctl.d/a.conf"),
            ],
            unit_files=[
                UnitFile("/etc/systemd/system/good.service", "good.service", size=len(text.encode()), content=text),
                UnitFile("/etc/systemd/system/../../shadow", "shadow", size=1, content="x"),
                UnitFile("/etc/systemd/system/known.service", "known.service", size=10),
                UnitFile("/etc/systemd/system/s.service", "s.service", size=12, content="A=[redacted]"),
            ],
        ),
    )
