"""The contract as services need it at run time: who may call a method, and the rules of its fields.

Read once from `contract.binpb`, which `make proto` writes, into a descriptor pool of its own: the stubs in the default
pool know neither the rules nor the methods of services that nobody here imported.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2

ROLES = {1: "viewer", 2: "member", 3: "admin", 4: "agent", 5: "service", 6: "attempt"}
"""Role numbers of `batuta.types.v1.Role` and the names that tokens carry."""
_INCLUDED_IN = {"viewer": ("member", "admin"), "member": ("admin",)}


@dataclass(frozen=True)
class Rule:
    """What the contract says of one method."""

    name: str
    """As gRPC writes it: `/batuta.tasks.v1.TaskService/GetTask`."""
    public: bool
    roles: tuple[str, ...]
    """Roles named in the contract."""
    admitted: frozenset[str]
    """Those, and the roles that include them. Empty: nobody may call the method."""
    parse: Callable[[bytes], Message]
    """Reads a request into the private pool's message, on which the rules can be checked."""
    request: type[Message]
    """The private pool's class of requests."""
    response: type[Message]
    """The private pool's class of answers."""
    reads: bool
    """Whether the contract says that the method changes nothing."""
    client_streaming: bool
    server_streaming: bool
    deprecated: bool = False
    """Whether the method will go."""


class Contract:
    """All methods of all our services."""

    def __init__(self, described: bytes) -> None:
        """`described` is a serialized `FileDescriptorSet`, imports included."""
        self._pool = descriptor_pool.DescriptorPool()
        self._rules: dict[str, Rule] = {}
        files = descriptor_pb2.FileDescriptorSet.FromString(described).file
        for file in files:
            self._pool.Add(file)
        # What a `google.rpc.Status` may hold; no file of ours names it.
        self._pool.AddSerializedFile(error_details_pb2.DESCRIPTOR.serialized_pb)
        options_type = self._pool.FindMessageTypeByName("google.protobuf.MethodOptions")
        self._options = message_factory.GetMessageClass(options_type)
        self._access: Any = self._pool.FindExtensionByName("batuta.types.v1.access")
        for file in files:
            for service in file.service:
                described_service = self._pool.FindServiceByName(f"{file.package}.{service.name}")
                for method in described_service.methods:
                    rule = self._rule(method)
                    self._rules[rule.name] = rule

    @property
    def pool(self) -> descriptor_pool.DescriptorPool:
        """The pool of all messages, for those who read or write them as JSON."""
        return self._pool

    def rule(self, method: str) -> Rule | None:
        """The rule of `/package.Service/Method`, or None for a method that is not ours."""
        return self._rules.get(method)

    @property
    def rules(self) -> list[Rule]:
        """Every method, by name."""
        return [self._rules[name] for name in sorted(self._rules)]

    def _rule(self, method: MethodDescriptor) -> Rule:
        # Parsed anew: the options of the default pool's class keep our extension as unknown bytes.
        options: Any = self._options.FromString(method.GetOptions().SerializeToString())
        access = options.Extensions[self._access]
        roles = tuple(ROLES[number] for number in access.roles)
        request = message_factory.GetMessageClass(method.input_type)
        return Rule(
            name=f"/{method.containing_service.full_name}/{method.name}",
            public=access.public,
            roles=roles,
            admitted=frozenset(higher for role in roles for higher in (role, *_INCLUDED_IN.get(role, ()))),
            parse=request.FromString,
            request=request,
            response=message_factory.GetMessageClass(method.output_type),
            reads=method.GetOptions().idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS,
            client_streaming=bool(method.client_streaming),
            server_streaming=bool(method.server_streaming),
            deprecated=bool(method.GetOptions().deprecated),
        )


@functools.cache
def contract() -> Contract:
    """The contract of this release."""
    return Contract(resources.files("batuta_chassis").joinpath("contract.binpb").read_bytes())
