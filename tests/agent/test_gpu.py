from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batuta_agent.gpu import Gpus
from batuta_agent.health import Health
from batuta_agent.telemetry import Sampler
from batuta_rpc.clock import SystemClock


class NvmlError(Exception):
    """What the binding raises."""


class FakeNvml:
    """The functions of pynvml that we use, for two GPUs; the second one is divided and tells little."""

    NVMLError = NvmlError
    NVML_TEMPERATURE_GPU = 0
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, *, driver: bool = True) -> None:
        self._driver = driver
        self.answers = True

    def nvmlInit(self) -> None:
        if not self._driver:
            raise NvmlError("library not found")

    def nvmlShutdown(self) -> None:
        return

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"550.1"

    def nvmlDeviceGetCount(self) -> int:
        if not self.answers:
            raise NvmlError("GPU is lost")
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        if index == 2:
            raise NvmlError("fell off the bus")
        return "ab"[index]

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return {"a": "GPU-a", "b": "GPU-b", "m": "MIG-1"}[handle]

    def nvmlDeviceGetName(self, handle: str) -> str:
        return "NVIDIA Test"

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return SimpleNamespace(total=1000, used=400)

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        if handle != "a":
            raise NvmlError("not supported")
        return SimpleNamespace(gpu=77)

    nvmlDeviceGetPowerUsage = nvmlDeviceGetTemperature = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        if name in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTemperature"):
            return self._missing
        return super().__getattribute__(name)

    def _missing(self, *arguments: object) -> int:
        raise NvmlError("function not found")

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        return [1 if handle == "b" else 0, 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        return 2

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, index: int) -> str:
        if index:
            raise NvmlError("no such device")
        return "m"


def test_gpus_are_listed_and_one_that_fails_is_left_out() -> None:
    found = Gpus(FakeNvml()).devices()
    assert [(each.uuid, each.index, each.display_name, each.memory_bytes, each.driver_version) for each in found] == [
        ("GPU-a", 0, "NVIDIA Test", 1000, "550.1"),
        ("GPU-b", 1, "NVIDIA Test", 1000, "550.1"),
    ]


def test_numbers_that_a_driver_does_not_give_are_absent() -> None:
    first, second, slice_ = Gpus(FakeNvml()).sample()
    assert (first.utilization_percent, first.HasField("power_milliwatts")) == (77, False)
    assert not second.HasField("utilization_percent")
    assert second.memory_used_bytes == 400
    assert (slice_.uuid, slice_.mig_uuid) == ("GPU-b", "MIG-1")


def test_a_machine_without_a_driver_has_no_gpus() -> None:
    gpus = Gpus(FakeNvml(driver=False))
    assert (gpus.devices(), gpus.sample()) == ([], [])


PROGRAM = """
import json
from batuta_agent.gpu import Gpus
gpus = Gpus()
print(json.dumps([[each.uuid, each.memory_bytes] for each in gpus.devices()]))
for each in gpus.sample():
    known = each.HasField("power_milliwatts")
    print(json.dumps([each.uuid, each.utilization_percent, each.power_milliwatts, each.temperature_celsius, known]))
gpus.close()
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to make a driver library with")
def test_the_real_binding_reads_a_driver_library(tmp_path: Path) -> None:
    source = Path(__file__).with_name("fake_nvml.c")
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    listed, *sampled = map(json.loads, done.stdout.splitlines())
    assert listed == [["GPU-a", 1000], ["GPU-b", 1000]]
    assert sampled == [["GPU-a", 77, 250000, 60, True], ["GPU-b", 0, 0, 61, False]]


WATCHES = """
import json, os, sys
from batuta_agent.gpu import Gpus
gpus = Gpus()
lost = os.environ["FAKE_NVML_LOST"]
for happens in ("nothing", "falls off", "comes back"):
    if happens == "falls off":
        open(lost, "w").close()
    if happens == "comes back":
        os.unlink(lost)
    gpus.check()
    print(json.dumps(gpus.troubles))
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to make a driver library with")
def test_a_gpu_that_falls_off_the_bus_is_named_until_it_answers_again(tmp_path: Path) -> None:
    source = Path(__file__).with_name("fake_nvml.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(tmp_path / "libnvidia-ml.so.1"), str(source)], check=True)
    env = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML_LOST": str(tmp_path / "lost")}
    done = subprocess.run([sys.executable, "-c", WATCHES], env=env, capture_output=True, text=True, check=True)
    well, ill, again = map(json.loads, done.stdout.splitlines())
    assert well == {}
    assert ill == {"GPU-b": "GPU 1 (GPU-b) does not answer any more"}
    assert again == {}


async def test_while_a_driver_answers_nothing_every_gpu_that_was_well_is_ill(tmp_path: Path) -> None:
    nvml = FakeNvml()
    health = Health()
    sampler = Sampler(Gpus(nvml), tmp_path, SystemClock(), health)
    await sampler.look()
    assert health.reason == ""
    nvml.answers = False
    await sampler.look()
    assert health.reason == "GPU 0 (GPU-a) does not answer any more; GPU 1 (GPU-b) does not answer any more"
    assert health.gpu_trouble(["GPU-b"]) == "GPU 1 (GPU-b) does not answer any more"
    assert health.gpu_trouble([]) == health.reason
    nvml.answers = True
    await sampler.look()
    assert health.reason == health.gpu_trouble(["GPU-b"]) == ""
    sampler.close()
