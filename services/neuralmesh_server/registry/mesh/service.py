"""The edge of the mesh: every RPC checks, calls the domain, translates and returns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from neuralmesh.mesh.v1 import mesh_service_pb2 as api
from neuralmesh_server import names
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.registry import convert_assignment
from neuralmesh_server.registry.convert_request import actor, origin, page
from neuralmesh_server.registry.mesh import convert, selectors, validate
from neuralmesh_server.registry.records import Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuralmesh_server.registry.mesh.assignments import Assignments
    from neuralmesh_server.registry.mesh.fleet import Fleet
    from neuralmesh_server.registry.mesh.hub import Hub, Session, Step
    from neuralmesh_server.runtime.handlers import Call


class MeshServicer:
    """One method for each RPC of neuralmesh.mesh.v1.MeshService; the contract describes them."""

    def __init__(self, assignments: Assignments, hub: Hub, fleet: Fleet) -> None:
        self._assignments = assignments
        self._hub = hub
        self._fleet = fleet
        self._messages: WeakKeyDictionary[Step, Any] = WeakKeyDictionary()

    async def set_assignment(self, request: Any, call: Call) -> Any:
        """Set an assignment."""
        validate.assignment(request)
        selector = selectors.parse(request.assignment.selector, "assignment.selector")
        assignment = convert_assignment.assignment(request.assignment, selector.text)
        change = await self._assignments.set(assignment, origin(request, call))
        return api.SetAssignmentResponse(
            assignment=convert_assignment.assignment_message(change.assignment),
            previous_assignment=convert_assignment.assignment_message(change.before),
        )

    async def delete_assignment(self, request: Any, call: Call) -> Any:
        """Delete an assignment."""
        name = names.parse_assignment_name(request.name)
        assignment = await self._assignments.delete(name, origin(request, call))
        return api.DeleteAssignmentResponse(assignment=convert_assignment.assignment_message(assignment))

    async def list_assignments(self, request: Any, call: Call) -> Any:
        """Return a page of assignments."""
        del call
        found, token = await page(
            request,
            "ListAssignments",
            [],
            first=0,
            fetch=self._assignments.list,
            position=lambda assignment: assignment.revision,
        )
        return api.ListAssignmentsResponse(
            assignments=map(convert_assignment.assignment_message, found), next_page_token=token
        )

    async def get_desired_state(self, request: Any, call: Call) -> Any:
        """Return what a node is to hold."""
        del call
        node = names.check_node(request.node) if request.node else ""
        validate.labels(request.labels)
        revision, state = await self._hub.desired(dict(request.labels), node)
        return convert.desired_message(revision, state)

    async def sync(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        """Keep a node at its desired state; what an unproved caller claims to be is the node."""
        first = await anext(requests, None)
        if first is None:
            return
        validate.hello(first)
        hello = convert.hello(first.hello)
        session = await self._hub.join(hello, Origin(actor(hello.node, call)))
        reports = asyncio.get_running_loop().create_task(_take_reports(requests, session))
        try:
            async for step in session.steps():
                yield self._message(step)
        finally:
            self._hub.leave(session)
            reports.cancel()
            await asyncio.wait([reports])

    async def list_nodes(self, request: Any, call: Call) -> Any:
        """Return a page of nodes."""
        del call
        selector = selectors.parse(request.selector) if request.selector else selectors.Selector()
        await self._hub.refresh()

        async def fetch(after: str, limit: int) -> list[Any]:
            return self._fleet.page(after, limit, selector)

        found, token = await page(
            request, "ListNodes", [selector.text], first="", fetch=fetch, position=lambda sight: sight.node.name
        )
        return api.ListNodesResponse(
            nodes=map(convert.node_message, found), next_page_token=token, revision=self._hub.revision
        )

    async def forget_node(self, request: Any, call: Call) -> Any:
        """Forget a node."""
        del call
        return api.ForgetNodeResponse(
            node=convert.node_message(await self._fleet.forget(names.check_node(request.node)))
        )

    def _message(self, step: Step) -> Any:
        """Return the message of a step, which all nodes that make the step get."""
        found = self._messages.get(step)
        if found is None:
            found = self._messages[step] = convert.step_message(step)
        return found


async def _take_reports(requests: AsyncIterator[Any], session: Session) -> None:
    """Hand a node's reports to its session; the session ends with them, or with what is wrong with one."""
    try:
        async for request in requests:
            validate.report(request)
            session.report(convert.report(request.report))
    except NeuralMeshError as error:
        session.end(error)
    finally:
        session.end()
