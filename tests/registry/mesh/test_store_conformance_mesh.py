"""What every store promises to the rules of the mesh; the tests in test_store_conformance have everything else."""

from __future__ import annotations

from neuralmesh_server.registry.catalog import find_model
from neuralmesh_server.registry.mesh.assignments import Assignments
from neuralmesh_server.registry.records import AliasState
from neuralmesh_server.registry.records_mesh import Assignment, Wave
from tests.registry.stores import ANN, ASSIGNMENT, PLAN, Clock, manifest


async def test_assignments_are_kept_in_order_of_their_revisions(store, catalog):
    """An assignment has what was set, who set it, when and why; setting it again moves it to the end; deleting forgets."""
    assignments = Assignments(store, Clock())
    await catalog.create_model("digits", "", ANN)
    for number in (1, 2):
        await catalog.create_version("digits", manifest(number), ANN)
    digest = (await store.read(lambda view: view.head())).state_digest
    first = (await assignments.set(ASSIGNMENT, ANN)).assignment
    other = (await assignments.set(Assignment("*", "digits", "staging"), ANN)).assignment
    found = await store.read(lambda view: view.assignment(first.id))
    assert (found.actor, found.reason, found.revision) == (ANN.actor, "why", first.revision)
    assert (found.limits, found.staleness, found.pinned_version) == (ASSIGNMENT.limits, ASSIGNMENT.staleness, 2)
    await assignments.set(Assignment(ASSIGNMENT.selector, "digits", "production"), ANN)
    names = [one.id for one in await store.read(lambda view: view.all_assignments())]
    assert names == [other.id, first.id]
    assert [one.id for one in await store.read(lambda view: view.assignments(other.revision, 9))] == [first.id]
    assert len(await store.read(lambda view: view.assignments(0, 1))) == 1
    await assignments.delete(first.id, ANN)
    assert await store.read(lambda view: view.assignment(first.id)) is None
    assert (await store.read(lambda view: view.head())).state_digest == digest


async def test_waves_and_what_was_before_them_are_kept(store, catalog, promotions):
    """Each move in waves has its share, the newest first, and the alias as it was before it; a rollback ends them."""
    await catalog.create_model("digits", "", ANN)
    for number in (1, 2, 3):
        await catalog.create_version("digits", manifest(number), ANN)
    base = (await promotions.promote("digits", "production", AliasState(1), "", ANN)).alias
    one = (await promotions.promote("digits", "production", AliasState(2), "", ANN, waves=PLAN)).alias
    two = (await promotions.promote("digits", "production", AliasState(3), "", ANN, waves=PLAN)).alias

    def look(view):
        model = find_model(view, "digits")
        return view.waves(model), [view.alias_before(model, "production", move.revision) for move in (two, one, base)]

    waves, before = await store.read(look)
    assert waves == [Wave("digits", "production", move.revision, PLAN, 5) for move in (two, one)]
    assert waves == await store.read(lambda view: view.waves())
    assert before == [one, base, None]
    model = await store.read(lambda view: find_model(view, "digits"))
    await store.change(lambda transaction: transaction.set_wave(model, "production", two.revision, 500_000))
    assert [wave.share_ppm for wave in (await store.read(look))[0]] == [500_000, 5]
    await promotions.rollback("digits", "production", 0, "", ANN)
    assert await store.read(lambda view: view.waves()) == []
