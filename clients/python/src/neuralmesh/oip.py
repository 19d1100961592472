"""The Open Inference Protocol's messages, from a descriptor pool of their own.

Other clients register the same package, `inference`, in protobuf's default pool, and a process has room for one of them
there. This module adds nothing to the default pool and no top-level module, so `neuralmesh` shares a process with any.
Messages of this module and of another client are different classes; their bytes are the same.

Every message of the contract is an attribute: `oip.ModelInferRequest`, and so on.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FileDescriptor, ServiceDescriptor

__all__ = ["DESCRIPTOR", "SERVICE", "message_class"]


def _load() -> FileDescriptor:
    data = resources.files(__package__).joinpath("_oip", "open_inference.binpb").read_bytes()
    files = descriptor_pb2.FileDescriptorSet.FromString(data).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    return pool.FindFileByName(files[-1].name)


def message_class(descriptor: Descriptor) -> type[Any]:
    """Return the class of a message of this module's pool; the same class each time."""
    found: type[Any] = message_factory.GetMessageClass(descriptor)
    return found


DESCRIPTOR: FileDescriptor = _load()
"""The contract's file."""

SERVICE: ServiceDescriptor = DESCRIPTOR.services_by_name["GRPCInferenceService"]
"""The contract's one service."""


def __getattr__(name: str) -> type[Any]:
    descriptor = DESCRIPTOR.message_types_by_name.get(name)
    if descriptor is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = message_class(descriptor)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *DESCRIPTOR.message_types_by_name})
