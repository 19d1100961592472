"""What the registry holds, as frozen values. They know neither how they are stored nor how they are sent.

Times are milliseconds since 1970, sizes are bytes, revisions count from 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from neuralmesh_server.registry.etags import etag
from neuralmesh_server.registry.records_checks import Check, CheckRecorded
from neuralmesh_server.registry.records_mesh import AssignmentChanged, WaveReached

if TYPE_CHECKING:
    from neuralmesh_server.proof_seal import Proof
    from neuralmesh_server.registry.records_mesh import WavePlan
    from neuralmesh_server.registry.records_policy import AliasProtection, ModelPolicy


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change; `authenticated` when TLS proved `id`."""

    id: str
    authenticated: bool = False
    on_behalf_of: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from: who, why, and the token that makes a repeat harmless (empty: none)."""

    actor: Actor
    reason: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output; -1 in the shape stands for any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a version takes and gives."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    label_output: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A named line of versions; `policy` is None until it was given one, and `policy_revision` 0."""

    name: str
    uid: int
    description: str
    time_ms: int
    latest_version: int
    revision: int
    policy: ModelPolicy | None = None
    policy_revision: int = 0


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """The result of SetModelPolicy: the model as committed and its policy before (None: there was none)."""

    model: Model
    before: ModelPolicy | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pusher says about a new version; files are in byte order of their paths, metadata in order of its keys."""

    kind: str
    files: tuple[FileEntry, ...]
    signature: Signature | None = None
    description: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable version of a model."""

    model: str
    number: int
    digest: str
    manifest: Manifest
    actor: Actor
    time_ms: int
    revision: int

    @property
    def size(self) -> int:
        """Sum of the file sizes in bytes."""
        return sum(file.size for file in self.manifest.files)


@dataclass(frozen=True, slots=True)
class Arm:
    """A version beside the one that answers, and its share in parts per million."""

    version: int
    share_ppm: int


class StickySource(IntEnum):
    """Where the value that decides a request's arm is read, by the contract's numbers."""

    PARAMETER = 1
    METADATA = 2
    REQUEST_ID = 3


@dataclass(frozen=True, slots=True)
class StickyKey:
    """Which value of a request decides its arm; `key` is empty for the request's id."""

    source: StickySource
    key: str = ""


@dataclass(frozen=True, slots=True)
class AliasState:
    """What an alias says. A move replaces it whole."""

    version: int
    canary: Arm | None = None
    shadow: Arm | None = None
    sticky_key: StickyKey | None = None

    def versions(self) -> tuple[int, ...]:
        """Return every version that it names, the stable one first."""
        arms = (arm.version for arm in (self.canary, self.shadow) if arm is not None)
        return tuple(dict.fromkeys((self.version, *arms)))


@dataclass(frozen=True, slots=True)
class Alias:
    """A mutable name for a version, as its last move left it.

    Attributes:
        rollback_versions: Versions that rollback would go through, nearest first, at most 100.
        protection: What a promotion must bring along, None for nothing.
        protection_revision: That of its last change, 0 before the first.
        proof: What came with the promotion that is in force.
    """

    model: str
    name: str
    state: AliasState
    rollback_versions: tuple[int, ...]
    revision: int
    time_ms: int
    actor: Actor
    reason: str
    protection: AliasProtection | None = None
    proof: Proof | None = None
    protection_revision: int = 0

    @property
    def etag(self) -> str:
        """The quoted revision of the last move."""
        return etag(self.revision)


@dataclass(frozen=True, slots=True)
class Move:
    """The result of a promotion or rollback: the alias as committed and its state before (None: it did not exist)."""

    alias: Alias
    before: AliasState | None


class MoveKind(Enum):
    """Kinds of alias move, by their canonical names."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class ModelCreated:
    """A model was created."""

    model: str
    uid: int
    description: str


@dataclass(frozen=True, slots=True)
class VersionCreated:
    """A version was created."""

    model: str
    number: int
    digest: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class AliasMoved:
    """An alias was promoted or rolled back."""

    model: str
    alias: str
    kind: MoveKind
    before: AliasState | None
    after: AliasState
    proof: Proof | None = None
    waves: WavePlan | None = None


@dataclass(frozen=True, slots=True)
class ModelPolicyChanged:
    """A model got another policy."""

    model: str
    before: ModelPolicy | None
    after: ModelPolicy


@dataclass(frozen=True, slots=True)
class AliasProtected:
    """An alias got another protection; None when it was lifted."""

    model: str
    alias: str
    before: AliasProtection | None
    after: AliasProtection | None


@dataclass(frozen=True, slots=True)
class NodeRegistered:
    """A node made its key known; only the key's fingerprint is told."""

    node: str
    key_fingerprint: str


Change = (
    ModelCreated
    | VersionCreated
    | AliasMoved
    | NodeRegistered
    | ModelPolicyChanged
    | AliasProtected
    | AssignmentChanged
    | WaveReached
    | CheckRecorded
)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log. `canonical` says all that the other fields say, and is what is hashed."""

    revision: int
    time_ms: int
    actor: Actor
    reason: str
    change: Change
    canonical: bytes
    leaf_hash: bytes

    @property
    def model(self) -> Model:
        """The model that this event created."""
        assert isinstance(self.change, ModelCreated)
        change = self.change
        return Model(change.model, change.uid, change.description, self.time_ms, 0, self.revision)

    @property
    def version(self) -> Version:
        """The version that this event created."""
        assert isinstance(self.change, VersionCreated)
        change = self.change
        return Version(
            change.model, change.number, change.digest, change.manifest, self.actor, self.time_ms, self.revision
        )

    @property
    def check(self) -> Check:
        """The check that this event recorded."""
        change = self.change
        assert isinstance(change, CheckRecorded)
        return Check(change.model, change.number, change.finding, self.actor, self.reason, self.time_ms, self.revision)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the registry stands: its newest revision and the digest of its state."""

    revision: int
    state_digest: bytes
