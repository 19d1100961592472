"""The registry over gRPC: what an alias or a version is at this moment, with the numerics of its kind here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh import TlsFiles, exceptions
from neuralmesh_server import errors, names
from neuralmesh_server.labor.inputs import row_shape
from neuralmesh_server.labor.plan import FilePin, Numerics, VersionPin
from neuralmesh_server.labor.planner import Resolved

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh import AsyncClient
    from neuralmesh_server.settings_labor import LaborSettings

_KINDS = {
    kind.code: kind
    for kind in (
        errors.InvalidArgumentError,
        errors.NotFoundError,
        errors.FailedPreconditionError,
        errors.ResourceExhaustedError,
        errors.DeadlineExceededError,
        errors.UnauthenticatedError,
        errors.PermissionDeniedError,
        errors.DataLossError,
    )
}


class GrpcVersions:
    """See neuralmesh_server.labor.planner.Versions.

    Args:
        client: A client of the registry.
        numerics: Returns what computes versions of a kind; raises NOT_SUPPORTED for one that jobs cannot run.
    """

    def __init__(self, client: AsyncClient, numerics: Callable[[str], Numerics]) -> None:
        self._registry = client.registry
        self._numerics = numerics

    async def resolve(self, reference: str) -> Resolved:
        """Return the version that a reference means now; raises NOT_SUPPORTED where it takes no rows of numbers."""
        model, at, alias = reference.partition("@")
        try:
            if at:
                number = (await self._registry.get_alias(model, alias)).state.version
            else:
                model, _, text = reference.partition("/")
                number = names.parse_version(text)
            version = await self._registry.get_version(model, number)
        except exceptions.NeuralMeshError as error:
            raise _own(error) from error
        pin = VersionPin(
            model=model,
            version=int(number),
            kind=version.kind,
            digest=names.check_digest(version.digest),
            files=tuple(FilePin(file.path, file.size_bytes, file.digest) for file in version.files),
            numerics=self._numerics(version.kind),
        )
        inputs = version.signature.inputs
        return Resolved(pin, {one.name: row_shape(one.name, one.datatype, tuple(one.shape)) for one in inputs})


def client_options(settings: LaborSettings) -> dict[str, Any]:
    """Return the arguments of a client that reaches the registry of these settings."""
    tls = settings.server.tls
    files = None if tls is None else TlsFiles(ca=tls.authority, cert=tls.certificate, key=tls.key)
    return {"registry": str(settings.registry), "tls": files, "token": settings.token}


def _own(error: exceptions.NeuralMeshError) -> errors.NeuralMeshError:
    """Return the service's error for the registry's; whatever may pass becomes PEER_UNREACHABLE."""
    kind = _KINDS.get(error.code.name)
    if kind is None or error.reason not in errors.REASONS:
        return errors.UnavailableError("PEER_UNREACHABLE", f"the registry could not be asked: {error.message}")
    return kind(error.reason, error.message)
