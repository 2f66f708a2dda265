from __future__ import annotations

from pathlib import Path

from batuta_agent import host
from batuta_agent.gpu import Gpus
from batuta_agent.telemetry import Sampler
from batuta_rpc.clock import SystemClock
from batuta_rpc.testing import FakeClock


def test_a_sample_of_the_machine_is_plausible(tmp_path: Path) -> None:
    sampler = host.HostSampler(tmp_path, SystemClock())
    sample = sampler.sample()
    assert 0 < sample.memory_used_bytes < sample.memory_total_bytes
    assert 0 < sample.disk_free_bytes <= sample.disk_total_bytes
    assert 0 <= sample.cpu_percent <= 100


def test_network_rates_need_two_samples(tmp_path: Path) -> None:
    clock = FakeClock()
    sampler = host.HostSampler(tmp_path, clock)
    assert sampler.sample().network_received_bytes_per_second == 0
    clock.advance(10)
    assert sampler.sample().network_received_bytes_per_second >= 0


def test_the_capacity_names_cores_memory_and_gpus() -> None:
    found = host.capacity(3)
    assert found.cpus >= 1
    assert found.memory_bytes > 0
    assert found.gpus == 3


async def test_a_disk_that_is_gone_costs_one_sample_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    sampler = Sampler(Gpus(), folder, SystemClock())
    assert await sampler.sample() is not None
    folder.rmdir()
    assert await sampler.sample() is None
    sampler.close()
