"""What a worker might say that is no result: it is refused, counted as a failure of the shard, and changes nothing."""

from __future__ import annotations

import json

import pytest

from neuralmesh_server import canonical
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.labor import plan as plans
from neuralmesh_server.labor.results import parse_result
from tests.labor.array_bench import expected_output, make_card, make_plan, output_of, result_of

ONE = make_card("one")


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": "10"},
        {"rows": True},
        {"rows": -1, "skipped": [[0, 11, "bad"]]},
        {"rows": 9, "skipped": [[10, 1, "bad"]]},
        {"rows": 8, "skipped": [[3, 1, "bad"], [3, 1, "bad"]]},
        {"rows": 10, "skipped": [[3, 0, "bad"]]},
        {"rows": 9, "skipped": [[3, 1, 7]]},
        {"output": ["", 0]},
        {"output": [7, 0]},
        {"output": ["sha256:../../etc/passwd", 0]},
        {"output": ["sha256:" + "0" * 64, -1]},
    ],
)
async def test_results_that_cannot_be_are_refused(bench, changes) -> None:
    """Canonical bytes that say what no shard gives are FIELD_INVALID; the job goes on and ends right."""
    plan = make_plan(1, bad_rows=plans.SKIP)
    await bench.submit(plan)
    (lease,) = await bench.lease(ONE)
    await bench.shelf.put(output_of(lease.action_digest))
    result = canonical.encode(json.loads(result_of(lease)) | changes)
    with pytest.raises(NeuralMeshError) as raised:
        await bench.desk.complete(ONE, lease.token, result, 0.1)
    assert raised.value.reason == "FIELD_INVALID"
    await bench.work(ONE)
    view = await bench.view(plan)
    assert (view.job.output_digest, view.progress.retries) == (expected_output(plan), 1)


async def test_tallies_count_the_rows_that_there_are(bench) -> None:
    """The tally of an evaluation that counts other rows than its result has is refused."""
    plan = make_plan(1, kind=plans.EVALUATE)
    await bench.submit(plan)
    bins = [[0, 0, "0"]] * 15
    for counted, accepted in ((11, False), (10, True)):
        (lease,) = await bench.lease(ONE)
        await bench.shelf.put(output_of(lease.action_digest))
        tally = {"bins": bins, "pairs": [["7", "7", counted]]}
        result = canonical.encode(json.loads(result_of(lease)) | {"tally": tally})
        if accepted:
            await bench.desk.complete(ONE, lease.token, result, 0.1)
            continue
        with pytest.raises(NeuralMeshError, match="counts 11 rows of 10"):
            await bench.desk.complete(ONE, lease.token, result, 0.1)
    await bench.settle()
    assert (await bench.view(plan)).job.state == "committed"


def test_nesting_without_end_is_no_result() -> None:
    """A document that is nested deeper than anybody reads is refused as any other nonsense is."""
    with pytest.raises(ValueError, match="not the bytes of a result"):
        parse_result(b"[" * 1_000_000)
