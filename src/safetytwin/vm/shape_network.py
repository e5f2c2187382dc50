"""The interfaces of a twin: one for each physical interface of the machine."""

from safetytwin.models.hardware import Address, Interface
from safetytwin.vm.names import made_up_mac, usable_mac, xml_text
from safetytwin.vm.shape_records import Deviation, VmInterface

_MOST = 16
_MOST_ADDRESSES = 32


def interfaces(host_id: str, found: list[Interface]) -> tuple[list[VmInterface], list[Deviation]]:
    """Return the interfaces, and in what they differ from the machine's."""
    taken: set[str] = set()
    made: list[VmInterface] = []
    deviations: list[Deviation] = []
    for interface in found:
        if not _is_physical(interface):
            continue
        name = xml_text(interface.name)
        if len(made) == _MOST:
            deviations.append(Deviation("interface", f"a twin has at most {_MOST} interfaces", name))
            continue
        mac = usable_mac(interface.mac)
        if mac is None or mac in taken:
            reason = "its hardware address is another's too" if mac else "it has no usable hardware address"
            deviations.append(Deviation("interface", f"{reason}: the twin's is made up", name))
            mac = _free_mac(host_id, interface.name, taken)
        taken.add(mac)
        addresses = [_written(address) for address in (interface.addresses or [])[:_MOST_ADDRESSES]]
        made.append(VmInterface(mac, name, addresses))
    return made, deviations


def _is_physical(interface: Interface) -> bool:
    if interface.physical is None:
        return interface.kind in {"ethernet", "wireless"}
    return interface.physical and interface.kind != "loopback"


def _free_mac(host_id: str, name: str, taken: set[str]) -> str:
    attempt = 0
    while (mac := made_up_mac(host_id, name, attempt)) in taken:
        attempt += 1
    return mac


def _written(address: Address) -> str:
    return xml_text(address.address if address.prefix is None else f"{address.address}/{address.prefix}")
