"""The numbers of a service in the format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, Metric, ProcessCollector
from prometheus_client import generate_latest as generate
from prometheus_client.registry import Collector

from batuta_chassis.meters import Family

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Given(Collector):
    """Families that were read already."""

    def __init__(self, families: Sequence[Family], constant: dict[str, str]) -> None:
        self._families = families
        self._constant = constant

    def collect(self) -> Iterable[Metric]:
        """As the library's own."""
        for family in self._families:
            metric = Metric(family.name, family.sentence, family.kind)
            for sample in family.samples:
                metric.add_sample(family.name + sample.suffix, {**sample.labels, **self._constant}, sample.value)
            yield metric


def text(families: Sequence[Family], service: str) -> bytes:
    """All of them, with the name of the service, and those of this process (memory, CPU, files, collector)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families, {"service": service}))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return generate(registry)
