"""Kind `remote`: versions that another server runs, named by a descriptor in their one file.

Loading asks the upstream whether it is ready and what the model takes and gives. An upstream that does not answer, or
not what it should, is asked again later: nothing about it is in the files.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from neuralmesh_server.errors import NotSupportedError
from neuralmesh_server.inference.backends.backend import LoadError, NotYetError
from neuralmesh_server.inference.backends.ending import EndedError
from neuralmesh_server.inference.tensors import DTYPES, Signature
from neuralmesh_server.inference.upstreams.descriptor import FILE_NAME, DescriptorError, parse
from neuralmesh_server.inference.upstreams.link import Target, UpstreamError
from neuralmesh_server.inference.upstreams.upstream import UNVERIFIED, RemoteUpstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralmesh_server.inference.backends.backend import Upstream
    from neuralmesh_server.inference.backends.ending import Ending
    from neuralmesh_server.inference.upstreams.connections import Connections
    from neuralmesh_server.inference.upstreams.descriptor import Descriptor
    from neuralmesh_server.inference.upstreams.link import Description, UpstreamLink

KIND = "remote"
ASK_SECONDS = 5.0
"""Longest wait for each answer while a version is loaded."""

_PROMISES = frozenset({"bits", "build"})


class RemoteModel:
    """A version on another server; see neuralmesh_server.inference.backends.backend.Model."""

    predictable_cost: bool = False
    run_raw: Callable[[bytes | memoryview, int], tuple[bytes, ...]] | None = None
    upstream: Upstream | None
    ragged: frozenset[str] = frozenset()

    def __init__(self, signature: Signature, upstream: Upstream, exact: str) -> None:
        self.signature = signature
        self.upstream = upstream
        self.exact = exact

    def run(self, inputs: Mapping[str, NDArray[Any]], ending: Ending | None = None) -> dict[str, NDArray[Any]]:
        """Refuse: what answers is `upstream`."""
        del inputs, ending
        raise NotSupportedError("NOT_SUPPORTED", "a version of kind remote is not run here", feature=KIND)


class RemoteBackend:
    """Opens descriptors; `load` is called in threads, connections belong to the loop.

    Args:
        connections: Where connections come from.
        loop: The loop that they belong to.
    """

    def __init__(self, connections: Connections, loop: asyncio.AbstractEventLoop) -> None:
        self._connections = connections
        self._loop = loop

    def load(self, files: Mapping[str, Path], ending: Ending | None = None) -> RemoteModel:
        """Return the version that the descriptor names, once its upstream is ready for it."""
        descriptor = _descriptor(files)
        work = asyncio.run_coroutine_threadsafe(self._open(descriptor), self._loop)
        if ending is not None:
            ending.by(lambda: _cancel(work))
        try:
            return work.result()
        except CancelledError as error:
            raise EndedError from error

    async def _open(self, descriptor: Descriptor) -> RemoteModel:
        target = Target(descriptor.address, descriptor.tls, descriptor.credentials)
        link = self._connections.open(target)
        try:
            found = await _ask(descriptor, link)
        except UpstreamError as error:
            await self._connections.release(target)
            raise NotYetError(f"upstream {descriptor.label} answered {error.code}: {error}") from error
        except BaseException:
            await self._connections.release(target)
            raise
        exact = _promise(descriptor, found)
        upstream = RemoteUpstream(descriptor, link, exact)
        self._connections.release_with(upstream, target)
        return RemoteModel(Signature(found.inputs, found.outputs), upstream, exact)


def _cancel(work: Future[RemoteModel]) -> None:
    work.cancel()


def _descriptor(files: Mapping[str, Path]) -> Descriptor:
    if list(files) != [FILE_NAME]:
        raise LoadError(f"a version of kind {KIND} has one file, {FILE_NAME}; this one has {sorted(files)}")
    try:
        return parse(files[FILE_NAME].read_bytes())
    except DescriptorError as error:
        raise LoadError(f"{FILE_NAME} {error}") from error


async def _ask(descriptor: Descriptor, link: UpstreamLink) -> Description:
    if not await link.ready(descriptor.model, descriptor.version, ASK_SECONDS):
        raise NotYetError(f"upstream {descriptor.label} says that the model is not ready")
    found = await link.describe(descriptor.model, descriptor.version, ASK_SECONDS)
    for spec in (*found.inputs, *found.outputs):
        if spec.datatype not in DTYPES:
            raise LoadError(f"upstream {descriptor.label} says that {spec.name!r} is a {spec.datatype!r}")
    digest, wanted = found.properties.get("digest", ""), descriptor.expects_digest
    if wanted and digest and digest != wanted:
        raise NotYetError(f"upstream {descriptor.label} serves {digest}; the version expects {wanted}")
    return found


def _promise(descriptor: Descriptor, found: Description) -> str:
    """Return how far answers repeat that name the digest which is expected."""
    if not descriptor.expects_digest or found.properties.get("digest") != descriptor.expects_digest:
        return UNVERIFIED
    promise = found.properties.get("numerics", "")
    return promise if promise in _PROMISES else UNVERIFIED
