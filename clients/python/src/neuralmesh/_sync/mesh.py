# Generated from _async/mesh.py by tools/unasync.py; never edited.
# ruff: noqa: UP028, PYI016, RET504, TRY300, RUF100, E501
"""The mesh service's methods, one for each RPC: which edge nodes hold what, and how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmesh._resource import assignment_name
from neuralmesh._sync.pages import pages
from neuralmesh.mesh.v1 import mesh_service_pb2 as pb
from neuralmesh.registry.v1 import resources_pb2 as resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from neuralmesh._sync.connection import Connection


class Mesh:
    """Assignments, desired states and the fleet; the registry answers. Every method raises `neuralmesh.exceptions`."""

    def __init__(self, connection: Connection, actor: str) -> None:
        self._connection = connection
        self._actor = actor

    @property
    def address(self) -> str:
        """Where the calls go, `host:port`."""
        return self._connection.address

    def set_assignment(
        self,
        selector: str,
        model: str,
        alias: str = "production",
        *,
        pinned_version: int = 0,
        limits: resources.LimitPolicy | None = None,
        staleness: resources.StalenessPolicy | None = None,
        reason: str = "",
        request_id: str = "",
    ) -> pb.SetAssignmentResponse:
        """Let the nodes that a selector matches hold what an alias says, or a pinned version in its place.

        It replaces the assignment of the same selector, model and alias whole.
        """
        assignment = resources.Assignment(
            selector=selector,
            model=model,
            alias=alias,
            pinned_version=pinned_version,
            limits=limits,
            staleness=staleness,
        )
        request = pb.SetAssignmentRequest(
            assignment=assignment, actor=self._actor, reason=reason, request_id=request_id
        )
        return self._connection.unary("SetAssignment", pb.SetAssignmentResponse, request)

    def delete_assignment(self, assignment: str, *, reason: str = "", request_id: str = "") -> resources.Assignment:
        """Delete an assignment, given with or without `assignments/`, and return it."""
        request = pb.DeleteAssignmentRequest(
            name=assignment_name(assignment), actor=self._actor, reason=reason, request_id=request_id
        )
        response = self._connection.unary("DeleteAssignment", pb.DeleteAssignmentResponse, request)
        return response.assignment

    def list_assignments(self) -> Iterator[resources.Assignment]:
        """Yield all assignments in order of the revisions that set them."""
        request = pb.ListAssignmentsRequest()
        return pages(self._connection, "ListAssignments", pb.ListAssignmentsResponse, request, "assignments")

    def get_desired_state(self, labels: Mapping[str, str] | None = None, node: str = "") -> pb.GetDesiredStateResponse:
        """Return what a node of such labels, and perhaps a name, is to hold now."""
        request = pb.GetDesiredStateRequest(node=node, labels=dict(labels or {}))
        return self._connection.unary("GetDesiredState", pb.GetDesiredStateResponse, request)

    def list_nodes(self, selector: str = "") -> Iterator[pb.Node]:
        """Yield the nodes that ever said hello, or those that a selector matches, in order of their names."""
        request = pb.ListNodesRequest(selector=selector, page_size=1000)
        return pages(self._connection, "ListNodes", pb.ListNodesResponse, request, "nodes")

    def forget_node(self, node: str) -> pb.Node:
        """Forget a node that is not connected and will not come back, and return it as it was known."""
        request = pb.ForgetNodeRequest(node=node)
        return (self._connection.unary("ForgetNode", pb.ForgetNodeResponse, request)).node

    def sync(self, requests: Iterable[pb.SyncRequest] | Iterable[pb.SyncRequest]) -> Iterator[pb.SyncResponse]:
        """Follow as a node: a hello, then reports, against states. It ends only with an error or with the requests."""
        return self._connection.exchange("Sync", pb.SyncResponse, requests)
