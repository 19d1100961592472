"""The gate of one RPC: reads from a grpc call who calls and which model is meant, and asks `access` about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuralmesh_server.errors import PermissionDeniedError, UnauthenticatedError
from neuralmesh_server.runtime import access
from neuralmesh_server.runtime.wire import text_field

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc
    from google.protobuf.descriptor import MethodDescriptor

    from neuralmesh_server.runtime.access import Access, Guard, Principal


class Gate:
    """One guarded RPC: who calls, whether its requests are permitted, and what of the answers the caller may see."""

    __slots__ = ("_access", "_field", "_rule")

    def __init__(self, guard: Guard, method: MethodDescriptor) -> None:
        self._access = guard.access
        self._rule = guard.rule(method.name)
        # The model of a request that stays bytes is read from them where it stands in the outermost message.
        field = method.input_type.fields_by_name.get(self._rule.model)
        self._field: int = 0 if field is None else field.number

    def principal(self, context: grpc.aio.ServicerContext) -> Principal:
        """Return who calls; raises UNAUTHENTICATED or PERMISSION_DENIED."""
        return principal_of(context, self._access)

    def enter(self, context: grpc.aio.ServicerContext) -> Principal:
        """Return who calls with a stream of requests, if they may with any; each request is checked when it comes."""
        principal = self.principal(context)
        if not self._rule.model:
            self._check(principal, "")
        elif not any(principal.may_somewhere(role) for role in self._rule.roles):
            refusal = access.denied(self._rule, principal, "")
            self._access.refusals.note(refusal)
            raise refusal
        return principal

    def check(self, principal: Principal, request: Any) -> None:
        """Permit a request or raise PERMISSION_DENIED."""
        model = access.model_at(request, self._rule.model) if self._rule.model else ""
        self._check(principal, model)

    def check_bytes(self, principal: Principal, data: bytes, parse: Callable[[bytes], Any]) -> None:
        """Permit the bytes of a request, or raise PERMISSION_DENIED or what `parse` raises."""
        if any(principal.may(role, "") for role in self._rule.roles):
            return
        model = text_field(data, self._field) if self._field else None
        if model is None:
            self.check(principal, parse(data))
        else:
            self._check(principal, access.model_of(model))

    def admit(self, principal: Principal, answer: Any) -> Any:
        """Return what of an answer the caller may see, or raise PERMISSION_DENIED."""
        try:
            return access.admit(self._rule, principal, answer)
        except PermissionDeniedError as error:
            self._access.refusals.note(error)
            raise

    def _check(self, principal: Principal, model: str) -> None:
        try:
            access.check(self._rule, principal, model)
        except PermissionDeniedError as error:
            self._access.refusals.note(error)
            raise


def make_gate(guard: Guard, method: MethodDescriptor) -> Gate | None:
    """Return the gate of an RPC, or None where it is open to everyone."""
    return None if guard.rule(method.name).is_open else Gate(guard, method)


def certificate_name(context: grpc.aio.ServicerContext) -> str | None:
    """Return the common name of the peer's verified certificate, or None without mutual TLS."""
    names = context.auth_context().get("x509_common_name")
    return names[0].decode("utf-8", "replace") if names else None


def principal_of(context: grpc.aio.ServicerContext, who: Access) -> Principal:
    """Return who calls; raises UNAUTHENTICATED or PERMISSION_DENIED."""
    token = next((value for name, value in context.invocation_metadata() or () if name == "authorization"), None)
    try:
        return who.principal(token, lambda: certificate_name(context))
    except (UnauthenticatedError, PermissionDeniedError) as error:
        who.refusals.note(error)
        raise
