"""Clocks that are off: what the service takes from a node's, and what it says of any."""

from __future__ import annotations

import pytest

from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.metrics import convert
from neuralmesh_server.metrics.ingest import ingest
from neuralmesh_server.metrics.nodes import survey
from neuralmesh_server.metrics.service import MetricsServicer
from neuralmesh_server.metrics.validate import MAX_EPOCH_AHEAD_MS
from tests.metrics import samples

NOW_MS = 5_000_000_000


@pytest.mark.parametrize("epoch", [NOW_MS + MAX_EPOCH_AHEAD_MS + 1, 2**48 - 1])
async def test_an_epoch_of_the_future_is_refused(store, epoch):
    """The start of a node lies at most a day ahead of the service's clock."""
    servicer = MetricsServicer(store, lambda: NOW_MS / 1000, 5.0)
    with pytest.raises(InvalidArgumentError) as caught:
        await servicer.ingest_delta(samples.delta_message(epoch=epoch), None)
    assert (caught.value.reason, caught.value.metadata["field"]) == ("FIELD_INVALID", "epoch")
    await servicer.ingest_delta(samples.delta_message(epoch=NOW_MS + MAX_EPOCH_AHEAD_MS), None)


@pytest.mark.parametrize("moment", [-1, 0, NOW_MS, 2**48 - 1, 2**62])
async def test_every_time_that_is_sent_can_be_read(store, moment):
    """Times lie between 1970 and 9999, also those that a store has kept from before the check."""
    sent = samples.delta(epoch=moment, versions=[samples.counts()])
    await store.write(lambda ledger: ingest(ledger, sent, moment))
    epochs = await store.read(lambda view: view.epochs())
    (node,) = survey(epochs, {}, moment, 5000)
    message = convert.node_to(node)
    assert 1970 <= message.start_time.ToDatetime().year <= 9999
    assert 1970 <= message.last_seen_time.ToDatetime().year <= 9999
