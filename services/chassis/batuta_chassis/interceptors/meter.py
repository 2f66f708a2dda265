"""Counts calls. On the way of every call, so all that is left to do there is a few additions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

from batuta_chassis.contract import Rule
from batuta_chassis.meters import Cells, Counter, Family, Sample

_AUTH = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


class MethodMeter:
    """The calls of one method."""

    __slots__ = ("_refused", "codes", "deprecated", "name", "open", "seconds", "streaming")

    def __init__(self, rule: Rule, refused: Counter) -> None:
        self.name = rule.name.lstrip("/")
        self.streaming = rule.client_streaming or rule.server_streaming
        self.deprecated = rule.deprecated
        self.open = 0
        self.codes: dict[grpc.StatusCode, int] = {}
        self.seconds = Cells()
        self._refused = refused

    def end(self, code: grpc.StatusCode, reason: str, seconds: float) -> None:
        """A call has ended; whoever began it has counted `open` up."""
        self.open -= 1
        self.codes[code] = self.codes.get(code, 0) + 1
        if not self.streaming:
            self.seconds.note(seconds)
        if code in _AUTH:
            self._refused.add(1, "auth", reason)
        elif code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self._refused.add(1, "limit", reason)


class CallMeter:
    """The calls of one server."""

    def __init__(self) -> None:
        self._methods: dict[str, MethodMeter] = {}
        self._refused = Counter(
            "batuta_rpc_refused", "calls refused for want of a right (auth) or beyond a limit (limit)", "kind", "reason"
        )
        self._deprecated = Counter(
            "batuta_rpc_deprecated",
            "calls of methods that will go, by the client's name and version",
            "method",
            "client",
        )

    def of(self, rule: Rule) -> MethodMeter:
        """The meter of a method."""
        return self._methods.setdefault(rule.name, MethodMeter(rule, self._refused))

    def outdated(self, meter: MethodMeter, metadata: Iterable[Any] | None) -> None:
        """A method was called that will go."""
        client = next((str(value) for key, value in metadata or () if key == "batuta-client"), "unknown")
        self._deprecated.add(1, meter.name, client[:64])

    async def read(self) -> list[Family]:
        """See `Meter`."""
        methods = list(self._methods.values())
        totals = [
            Sample("_total", {"method": each.name, "code": code.name}, count)
            for each in methods
            for code, count in each.codes.items()
        ]
        seconds = [
            sample for each in methods if not each.streaming for sample in each.seconds.samples({"method": each.name})
        ]
        opened = [Sample("", {"method": each.name}, each.open) for each in methods]
        return [
            Family("batuta_rpc", "counter", "calls that have ended, by method and code", totals),
            Family("batuta_rpc_seconds", "histogram", "how long calls without streams took", seconds),
            Family("batuta_rpc_open", "gauge", "calls and streams that are open", opened),
            *(await self._refused.read()),
            *(await self._deprecated.read()),
        ]
