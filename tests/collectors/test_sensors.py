import pytest

from parts.looks import fixture_look
from safetytwin.collectors.base import AbsentError
from safetytwin.collectors.sensors import SensorsCollector
from safetytwin.models.hardware import Sensor


def test_broken_sensors_are_left_out_and_zones_that_repeat_a_chip_too():
    found = {sensor.id: sensor for sensor in SensorsCollector().collect(fixture_look("sensors/broken-sensors"))}
    assert found == {
        "coretemp-isa-0000:temp1": Sensor(
            id="coretemp-isa-0000:temp1",
            kind="temperature",
            label="Package id 0",
            value=45.0,
            unit="Cel",
            high=80.0,
            critical=100.0,
        ),
        "coretemp-isa-0000:temp10": Sensor(id="coretemp-isa-0000:temp10", kind="temperature", value=-5.0, unit="Cel"),
        "k10temp-pci-00c3:temp1": Sensor(id="k10temp-pci-00c3:temp1", kind="temperature", value=51.375, unit="Cel"),
        "nct6775-virtual-0:fan1": Sensor(id="nct6775-virtual-0:fan1", kind="fan", value=1200.0, unit="rpm"),
        "nct6775-virtual-0:in0": Sensor(id="nct6775-virtual-0:in0", kind="voltage", value=1.104, unit="V"),
        "nct6775-virtual-0:curr1": Sensor(id="nct6775-virtual-0:curr1", kind="current", value=2.5, unit="A"),
        "nct6775-virtual-0:power1": Sensor(id="nct6775-virtual-0:power1", kind="power", value=15.5, unit="W"),
        "nct6775-virtual-0:energy1": Sensor(id="nct6775-virtual-0:energy1", kind="energy", value=123.456789, unit="J"),
        "thermal_zone1:acpitz": Sensor(
            id="thermal_zone1:acpitz", kind="temperature", label="acpitz", value=27.8, unit="Cel", critical=119.0
        ),
    }


def test_a_reading_that_did_not_change_is_the_same_object():
    collector = SensorsCollector()
    first = collector.collect(fixture_look("sensors/broken-sensors"))
    second = collector.collect(fixture_look("sensors/broken-sensors"))
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_two_chips_that_nothing_tells_apart_keep_two_ids(tmp_path):
    for number in (0, 1):
        chip = tmp_path / f"sys/class/hwmon/hwmon{number}"
        chip.mkdir(parents=True)
        (chip / "name").write_text("jc42\n")
        (chip / "temp1_input").write_text(f"{number}000\n")
    found = SensorsCollector().collect(fixture_look(str(tmp_path)))
    assert [sensor.id for sensor in found] == ["jc42-virtual-0:temp1", "hwmon1/jc42-virtual-0:temp1"]


def test_a_chip_that_comes_later_is_seen(tmp_path):
    collector = SensorsCollector()
    with pytest.raises(AbsentError):
        collector.collect(fixture_look(str(tmp_path)))
    chip = tmp_path / "sys/class/hwmon/hwmon3"
    chip.mkdir(parents=True)
    (chip / "name").write_bytes(b"nv\xffme\n")
    (chip / "temp1_input").write_text("41850\n")
    assert collector.collect(fixture_look(str(tmp_path)))[0].value == 41.85
