"""GPUs by NVML: the only module that knows pynvml.

Everything here may fail on some driver: a machine without a driver has no GPUs, a number that a driver does not give
is absent, and a GPU that fails while it is read is left out of that sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from batuta_proto.agents import v1 as agents
from batuta_proto.types import v1 as types

T = TypeVar("T")


def _load_pynvml() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


class Gpus:
    """The GPUs of this machine. Calls may take long when a driver is ill: make them in a thread."""

    def __init__(self, nvml: Any = None) -> None:
        """`nvml`: what has the functions of the module pynvml; None is that module itself."""
        self._nvml = _load_pynvml() if nvml is None else nvml
        self._ready = False
        self._known: dict[str, int] = {}
        self.troubles: dict[str, str] = {}
        """What is wrong with GPUs that were well once, by UUID; `check` renews it."""

    def start(self) -> bool:
        """Load the driver's library. False where there is none; may be called again later."""
        if self._nvml is not None and not self._ready:
            try:
                self._nvml.nvmlInit()
                self._ready = True
            except self._nvml.NVMLError:
                return False
        return self._ready

    def close(self) -> None:
        """Let go of the library."""
        if self._ready:
            self._ready = False
            self._try(self._nvml.nvmlShutdown)

    def devices(self) -> list[types.Gpu]:
        """All GPUs, in index order; empty without a driver."""
        if not self.start():
            return []
        driver = _text(self._try(self._nvml.nvmlSystemGetDriverVersion))
        found: list[types.Gpu] = []
        for index, handle in self._handles():
            uuid = _text(self._try(self._nvml.nvmlDeviceGetUUID, handle))
            if not uuid:
                continue
            memory = self._try(self._nvml.nvmlDeviceGetMemoryInfo, handle)
            found.append(
                types.Gpu(
                    uuid=uuid,
                    index=index,
                    display_name=_text(self._try(self._nvml.nvmlDeviceGetName, handle)),
                    memory_bytes=int(memory.total) if memory is not None else 0,
                    driver_version=driver,
                )
            )
        return found

    def check(self) -> None:
        """See whether every GPU that has ever answered still does: one off the bus no longer tells its memory.

        What cannot be asked at all (no driver any more) counts against all of them. Nothing is said of GPUs that never
        answered.
        """
        answering: set[str] = set()
        if self.start():
            for index, handle in self._handles():
                uuid = _text(self._try(self._nvml.nvmlDeviceGetUUID, handle))
                if uuid and self._try(self._nvml.nvmlDeviceGetMemoryInfo, handle) is not None:
                    self._known[uuid] = index
                    answering.add(uuid)
        lost = {uuid: index for uuid, index in self._known.items() if uuid not in answering}
        self.troubles = {uuid: f"GPU {index} ({uuid}) does not answer any more" for uuid, index in lost.items()}
        if lost and not answering:
            self.close()  # the library may answer again only when it is loaded anew

    def sample(self) -> list[agents.GpuSample]:
        """Every GPU as it is now, and each MIG device of those that are divided."""
        if not self.start():
            return []
        found: list[agents.GpuSample] = []
        for _index, handle in self._handles():
            uuid = _text(self._try(self._nvml.nvmlDeviceGetUUID, handle))
            if uuid:
                found.append(self._sample_one(handle, uuid, ""))
                found.extend(self._sample_migs(handle, uuid))
        return found

    def _sample_one(self, handle: Any, uuid: str, mig_uuid: str) -> agents.GpuSample:
        nvml, sample = self._nvml, agents.GpuSample(uuid=uuid, mig_uuid=mig_uuid)
        rates = self._try(nvml.nvmlDeviceGetUtilizationRates, handle)
        if rates is not None:
            sample.utilization_percent = int(rates.gpu)
        memory = self._try(nvml.nvmlDeviceGetMemoryInfo, handle)
        if memory is not None:
            sample.memory_used_bytes = int(memory.used)
            sample.memory_total_bytes = int(memory.total)
        power = self._try(nvml.nvmlDeviceGetPowerUsage, handle)
        if power is not None:
            sample.power_milliwatts = int(power)
        heat = self._try(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
        if heat is not None:
            sample.temperature_celsius = int(heat)
        return sample

    def _sample_migs(self, handle: Any, uuid: str) -> list[agents.GpuSample]:
        nvml = self._nvml
        mode = self._try(nvml.nvmlDeviceGetMigMode, handle)
        if mode is None or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return []
        found: list[agents.GpuSample] = []
        for index in range(self._try(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            mig = self._try(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
            mig_uuid = _text(self._try(nvml.nvmlDeviceGetUUID, mig)) if mig is not None else ""
            if mig_uuid:
                found.append(self._sample_one(mig, uuid, mig_uuid))
        return found

    def _handles(self) -> list[tuple[int, Any]]:
        count = self._try(self._nvml.nvmlDeviceGetCount) or 0
        handles = ((index, self._try(self._nvml.nvmlDeviceGetHandleByIndex, index)) for index in range(count))
        return [(index, handle) for index, handle in handles if handle is not None]

    def _try(self, function: Callable[..., T], *arguments: object) -> T | None:
        try:
            return function(*arguments)
        except self._nvml.NVMLError:
            return None


def _text(value: Any) -> str:
    """Older releases of the binding give bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if value is not None else ""
