"""Models and their versions: how they come to be, and how they are found. Aliases are `promotion`'s."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from neuralmesh_server import names, state_digest
from neuralmesh_server.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from neuralmesh_server.registry import documents
from neuralmesh_server.registry.ledger import Repeatable, record
from neuralmesh_server.registry.records import Model, ModelCreated, Version, VersionCreated

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuralmesh_server.canonical import Fact
    from neuralmesh_server.registry.records import Manifest, Origin
    from neuralmesh_server.registry.store import Store, Transaction, View

MAX_UID = 2**32 - 1

_CREATE_MODEL = Repeatable("CreateModel", documents.model_fact, documents.read_model)
_CREATE_VERSION = Repeatable("CreateVersion", documents.version_fact, documents.read_version)


class ArtifactSizes(Protocol):
    """Says what is stored of artifacts."""

    async def sizes(self, digests: tuple[str, ...]) -> dict[str, int]:
        """Return the size of each of the given artifacts that is stored completely."""


class Catalog:
    """Creates and finds models and versions.

    Args:
        store: Where they are kept.
        artifacts: What bytes there are.
        clock: Milliseconds since 1970.
    """

    def __init__(self, store: Store, artifacts: ArtifactSizes, clock: Callable[[], int]) -> None:
        self._store = store
        self._artifacts = artifacts
        self._clock = clock

    async def create_model(self, name: str, description: str, origin: Origin) -> Model:
        """Create a model; raises MODEL_EXISTS."""
        arguments: Fact = {"model": name, "description": description}

        def rule(transaction: Transaction) -> Model:
            now = self._clock()
            return _CREATE_MODEL.once(
                transaction,
                now,
                origin,
                arguments,
                lambda: _create_model(transaction, now, name, description, origin),
            )

        return await self._store.change(rule)

    async def create_version(self, model: str, manifest: Manifest, origin: Origin) -> Version:
        """Create the next version of a model.

        Raises:
            NotFoundError: MODEL_NOT_FOUND.
            FailedPreconditionError: ARTIFACT_MISSING.
            InvalidArgumentError: FIELD_INVALID, an artifact has another size than the manifest says.
            AlreadyExistsError: VERSION_CONTENT_EXISTS.
        """
        stored = await self._artifacts.sizes(tuple({file.digest for file in manifest.files}))
        digest = documents.version_digest(manifest)
        arguments: Fact = {"model": model, **documents.manifest_fact(manifest)}

        def rule(transaction: Transaction) -> Version:
            now = self._clock()

            def create() -> Version:
                found = find_model(transaction, model)
                _check_stored(manifest, stored)
                return _create_version(transaction, now, found, manifest, digest=digest, origin=origin)

            return _CREATE_VERSION.once(transaction, now, origin, arguments, create)

        return await self._store.change(rule)

    async def model(self, name: str) -> Model:
        """Return a model; raises MODEL_NOT_FOUND."""
        return await self._store.read(lambda view: find_model(view, name))

    async def models(self, after: str, limit: int) -> list[Model]:
        """Return a page of the models in byte order of their names; empty only at the end."""
        return await self._store.read(lambda view: view.models(after, limit))

    async def version(self, model: str, number: int) -> Version:
        """Return a version; raises MODEL_NOT_FOUND or VERSION_NOT_FOUND."""
        return await self._store.read(lambda view: find_version(view, find_model(view, model), number))

    async def versions(self, model: str, before: int, limit: int) -> list[Version]:
        """Return a page of a model's versions below a number, newest first; empty only at the end."""
        return await self._store.read(lambda view: view.versions(find_model(view, model), before, limit))


def find_model(view: View, name: str) -> Model:
    """Return a model; raises MODEL_NOT_FOUND."""
    model = view.model(name)
    if model is None:
        raise NotFoundError("MODEL_NOT_FOUND", f"no model {name!r}", model=name)
    return model


def find_version(view: View, model: Model, number: int) -> Version:
    """Return a version; raises VERSION_NOT_FOUND."""
    version = view.version(model, number)
    if version is None:
        raise NotFoundError(
            "VERSION_NOT_FOUND", f"model {model.name!r} has no version {number}", model=model.name, version=number
        )
    return version


def _create_model(transaction: Transaction, time_ms: int, name: str, description: str, origin: Origin) -> Model:
    if transaction.model(name) is not None:
        raise AlreadyExistsError("MODEL_EXISTS", f"model {name!r} exists", model=name)
    uid = transaction.next_uid()
    if uid > MAX_UID:
        raise _exhausted("models", MAX_UID)
    model = Model(name, uid, description, time_ms, 0, transaction.head().revision + 1)
    transaction.insert_model(model)
    entry = state_digest.model_entry(name, uid)
    record(
        transaction,
        time_ms,
        origin,
        ModelCreated(name, uid, description),
        model=model,
        add=lambda _: entry,
    )
    return model


def _check_stored(manifest: Manifest, stored: dict[str, int]) -> None:
    missing = sorted({file.digest for file in manifest.files} - stored.keys())
    if missing:
        raise FailedPreconditionError(
            "ARTIFACT_MISSING",
            f"{len(missing)} artifacts of the manifest are not stored completely, such as {missing[0]}",
            missing=",".join(missing[:3]),
            count=len(missing),
        )
    for index, file in enumerate(manifest.files):
        if file.size != stored[file.digest]:
            raise InvalidArgumentError(
                "FIELD_INVALID",
                f"file {file.path!r} has size_bytes {file.size}; its artifact has {stored[file.digest]} bytes",
                field=f"files[{index}].size_bytes",
                path=file.path,
                size=file.size,
                stored=stored[file.digest],
            )


def _create_version(
    transaction: Transaction, time_ms: int, model: Model, manifest: Manifest, *, digest: str, origin: Origin
) -> Version:
    same = transaction.version_of_digest(model, digest)
    if same is not None:
        raise AlreadyExistsError(
            "VERSION_CONTENT_EXISTS",
            f"version {same} of model {model.name!r} has the very same content",
            model=model.name,
            version=same,
            digest=digest,
        )
    number = model.latest_version + 1
    if number > names.MAX_VERSION:
        raise _exhausted("versions", names.MAX_VERSION)
    revision = transaction.head().revision + 1
    version = Version(model.name, number, digest, manifest, origin.actor, time_ms, revision)
    transaction.insert_version(model, version)
    entry = state_digest.version_entry(model.name, number, digest)
    record(
        transaction,
        time_ms,
        origin,
        VersionCreated(model.name, number, digest, manifest),
        model=dataclasses.replace(model, latest_version=number),
        add=lambda _: entry,
    )
    return version


def _exhausted(what: str, limit: int) -> ResourceExhaustedError:
    return ResourceExhaustedError("LIMIT_EXCEEDED", f"there are {limit} {what} already", what=what, limit=limit)
