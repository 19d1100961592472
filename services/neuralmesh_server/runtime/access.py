"""Who may call what: roles, the principals that hold them, and the rule of every RPC.

A service declares one table from RPC to Rule; `runtime.handlers` asks a Guard before and after each call. This module
knows neither grpc nor where principals are kept (`runtime.tokens`). Without a Guard a server is open to whoever reaches
it, which `settings` permits on loopback and behind mutual TLS only.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from neuralmesh_server.errors import PermissionDeniedError, UnauthenticatedError
from neuralmesh_server.runtime.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

READER = "reader"
PUBLISHER = "publisher"
PROMOTER = "promoter"
ADMIN = "admin"
NODE = "node"

INCLUDED: dict[str, tuple[str, ...]] = {
    READER: (READER,),
    PUBLISHER: (PUBLISHER, READER),
    PROMOTER: (PROMOTER, READER),
    ADMIN: (ADMIN, PUBLISHER, PROMOTER, READER, NODE),
    NODE: (NODE,),
}
"""Every role, and the roles whose calls its holder may make."""

EVERY_MODEL = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for the models whose names match one of the patterns (`*`, `?`, `[...]`, case counts)."""

    role: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is known.

    Attributes:
        name: Name of the token, or common name of the certificate; the actor of what the principal changes.
        grants: What the principal may do.
        expires: Seconds since 1970 from which the principal counts as unknown; None for never.
    """

    name: str
    grants: tuple[Grant, ...]
    expires: float | None = None
    _everywhere: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        held = (INCLUDED.get(grant.role, ()) for grant in self.grants if EVERY_MODEL in grant.models)
        object.__setattr__(self, "_everywhere", frozenset(role for roles in held for role in roles))

    def may(self, role: str, model: str) -> bool:
        """Say whether the principal holds a role for a model; an empty name stands for every model."""
        if role in self._everywhere:
            return True
        return model != "" and any(
            fnmatchcase(model, pattern)
            for grant in self.grants
            if role in INCLUDED[grant.role]
            for pattern in grant.models
        )

    def may_somewhere(self, role: str) -> bool:
        """Say whether the principal holds a role for any model at all."""
        return any(role in INCLUDED[grant.role] and grant.models for grant in self.grants)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a call needs.

    Attributes:
        roles: Any of these permits the call; empty permits it to everyone, known or not.
        model: Field of the request that names the model, plainly or as `models/{model}/...`; dots go into messages. A
            request that names none needs the role for every model, unless one of the following is given; then the role
            for any model lets it in.
        answer: Field of the answer that names the model, for reads whose request cannot tell it: who lacks the role for
            that model does not get the answer.
        listed: Repeated field of the answer and the field of its elements that names the model: elements of models that
            the caller lacks the role for are left out.
        anywhere: A request that names no model concerns none, or one that only an id tells which cannot be guessed.
    """

    roles: tuple[str, ...] = ()
    model: str = ""
    answer: str = ""
    listed: tuple[str, str] | None = None
    anywhere: bool = False

    @property
    def is_open(self) -> bool:
        """True when nobody is asked who they are."""
        return not self.roles


OPEN = Rule()
UNDECLARED = Rule((ADMIN,))
"""What an RPC without an entry needs; a test demands that there is none."""


class Directory(Protocol):
    """Where principals are kept."""

    def by_token(self, digest: str) -> Principal | None:
        """Return the principal of a token by the SHA-256 of the token, in hexadecimal digits."""

    def by_identity(self, identity: str) -> Principal | None:
        """Return the principal of a certificate's common name."""


class Access:
    """Finds out who calls.

    Args:
        directory: Who is known.
        clock: Returns the present time in seconds since 1970.

    Attributes:
        refusals: What tells operators of callers that were refused.
    """

    def __init__(self, directory: Directory, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self.refusals = Refusals()

    def principal(self, authorization: str | None, identity: Callable[[], str | None]) -> Principal:
        """Return who calls.

        Args:
            authorization: Value of the header `authorization`, or None; it stands over the certificate.
            identity: Returns the common name of the caller's verified certificate, or None.

        Raises:
            UnauthenticatedError: There is neither token nor certificate, or the token is unknown or expired.
            PermissionDeniedError: The certificate is good, but its name has no role.
        """
        if authorization is not None:
            return self._token(authorization)
        name = identity()
        if name is None:
            raise UnauthenticatedError(
                "UNAUTHENTICATED", "this call needs a token: send the metadata `authorization: Bearer nmt_...`"
            )
        found = self._directory.by_identity(name)
        if found is None or self._expired(found):
            raise PermissionDeniedError("PERMISSION_DENIED", f"the identity {name!r} has no role here", name=name)
        return found

    def _token(self, authorization: str) -> Principal:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise UnauthenticatedError("UNAUTHENTICATED", "the authorization is not of the form `Bearer nmt_...`")
        # What is compared is a digest, so that the time of a comparison tells nothing about a token.
        found = self._directory.by_token(token_digest(token))
        if found is None:
            raise UnauthenticatedError("UNAUTHENTICATED", "the token is not known here")
        if self._expired(found):
            raise UnauthenticatedError("UNAUTHENTICATED", f"the token {found.name!r} has expired", name=found.name)
        return found

    def _expired(self, principal: Principal) -> bool:
        return principal.expires is not None and principal.expires <= self._clock()


class Guard:
    """The rules of one service, with what tells who calls."""

    def __init__(self, access: Access, rules: Mapping[str, Rule]) -> None:
        self.access = access
        self._rules = rules

    def rule(self, method: str) -> Rule:
        """Return the rule of an RPC by its name."""
        return self._rules.get(method, UNDECLARED)


def check(rule: Rule, principal: Principal, model: str) -> None:
    """Permit a call before it runs, or raise PERMISSION_DENIED.

    Args:
        rule: The call's rule, not an open one.
        principal: Who calls.
        model: Name of the model that the request names; empty for none.
    """
    if not model and (rule.anywhere or rule.answer or rule.listed):
        permitted = any(principal.may_somewhere(role) for role in rule.roles)
    else:
        permitted = any(principal.may(role, model) for role in rule.roles)
    if not permitted:
        raise denied(rule, principal, model)


def admit(rule: Rule, principal: Principal, answer: Any) -> Any:
    """Return what of an answer the caller may see; an answer about a model that is out of bounds raises."""
    if rule.answer:
        model = model_at(answer, rule.answer)
        if not any(principal.may(role, model) for role in rule.roles):
            raise denied(rule, principal, model)
    if rule.listed is not None and not any(principal.may(role, "") for role in rule.roles):
        field, path = rule.listed
        elements = getattr(answer, field)
        kept = [
            element for element in elements if any(principal.may(role, model_at(element, path)) for role in rule.roles)
        ]
        if len(kept) < len(elements):
            answer.ClearField(field)
            getattr(answer, field).extend(kept)
    return answer


def denied(rule: Rule, principal: Principal, model: str) -> PermissionDeniedError:
    """Return the refusal of a known caller."""
    needed = " or ".join(rule.roles)
    where = (
        f"model {model!r}" if model else "any model" if rule.anywhere or rule.answer or rule.listed else "all models"
    )
    return PermissionDeniedError(
        "PERMISSION_DENIED",
        f"{principal.name!r} lacks the role {needed} for {where}",
        name=principal.name,
        role=needed,
        model=model,
    )


def model_at(message: Any, path: str) -> str:
    """Return the model that a field of a message names; dots lead into messages."""
    for part in path.split("."):
        message = getattr(message, part)
    return model_of(message)


def model_of(text: str) -> str:
    """Return the model of a plain name or of a resource name `models/{model}/...`."""
    if not text.startswith("models/"):
        return text
    return text.split("/", 2)[1]


def token_digest(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
