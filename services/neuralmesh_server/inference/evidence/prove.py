"""Proof before exposure: a candidate answers the requests that the current version answers, and a report says how.

Requests are the examples of the candidate's golden set, one to a request, or the newest recorded ones. Each goes to
both versions, which take turns in going first, in the background. The report is sealed, so that whoever reads it knows
which node wrote it; whether it is good enough is the registry's to decide.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any, Protocol

from neuralmesh_server import proof_seal
from neuralmesh_server.errors import FailedPreconditionError, InvalidArgumentError, NeuralMeshError, UnavailableError
from neuralmesh_server.inference.backends.backend import LoadError
from neuralmesh_server.inference.evidence import golden
from neuralmesh_server.inference.evidence.proof_tally import Run, Tally, percentile
from neuralmesh_server.inference.evidence.receipts import UNVERIFIED
from neuralmesh_server.proof_seal import Proof, ProofSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.inference.evidence.recorder import Recorder
    from neuralmesh_server.inference.evidence.rerun import Rerun
    from neuralmesh_server.inference.holding.records import VersionRecord
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.serving import LoadedModel
    from neuralmesh_server.inference.tensors import Signature


class Codec(Protocol):
    """Between bytes and values of requests."""

    def read_request(self, data: bytes) -> Request:
        """Return the request of a ModelInferRequest; REQUEST_MALFORMED."""

    def write_request(self, model: str, signature: Signature, arrays: Mapping[str, NDArray[Any]]) -> bytes:
        """Return the ModelInferRequest of arrays by input."""


class Proofs:
    """Compares versions; belongs to the loop.

    Args:
        recorder: Where recorded requests are.
        rerun: What opens and runs versions.
        codec: What reads and writes requests.
        node: Name of this node.
        key: The node's id key, 32 bytes.
    """

    def __init__(self, *, recorder: Recorder, rerun: Rerun, codec: Codec, node: str, key: bytes) -> None:
        self._recorder = recorder
        self._rerun = rerun
        self._codec = codec
        self._node = node
        self._key = key

    async def prove(
        self, model: str, *, baseline: int, candidate: int, source: ProofSource | None, limit: int, caller: Caller
    ) -> Proof:
        """Return the sealed report on a candidate.

        Args:
            model: Name of the model.
            baseline: Version that answers today; 0 for the one that `production` names.
            candidate: Version that would answer.
            source: Where requests come from; None for the golden set, else for recorded requests.
            limit: Most requests.
            caller: Who waits.

        Raises:
            NeuralMeshError: NOTHING_TO_PROVE, or what `Rerun` raises.
        """
        before = self._rerun.record(model, baseline or self._rerun.default(model))
        after = self._rerun.record(model, candidate)
        if before.version == after.version:
            raise InvalidArgumentError(
                "FIELD_INVALID",
                f"version {after.version} of model {model!r} answers today; there is nothing to compare it with",
                field="candidate_version",
                version=after.version,
            )
        async with self._rerun.turn(caller):
            models = await self._rerun.open(before), await self._rerun.open(after)
            source, requests = await self._requests(after, models[1].signature, source, limit)
            tally = await self._compare(models, requests, caller)
        return proof_seal.sealed(self._report(before, after, source, requests, tally), self._key)

    async def _requests(
        self, record: VersionRecord, signature: Signature, source: ProofSource | None, limit: int
    ) -> tuple[ProofSource, Sequence[bytes]]:
        if source is None:
            has_golden = any(file.path == golden.FILE for file in record.files)
            source = ProofSource.GOLDEN if has_golden else ProofSource.RECORDED
        if source is ProofSource.GOLDEN:
            requests = await self._golden(record, signature, limit)
            missing = f"version {record.version} of model {record.model!r} brings no {golden.FILE} along"
        else:
            kept = await self._recorder.newest(record.model, limit)
            requests = [one.request for one in kept if one.request is not None]
            missing = f"this node has recorded no requests of model {record.model!r} with their payloads"
        if not requests:
            raise FailedPreconditionError(
                "NOTHING_TO_PROVE", missing, source=source.value, model=record.model, version=record.version
            )
        return source, requests

    async def _golden(self, record: VersionRecord, signature: Signature, limit: int) -> Sequence[bytes]:
        path = await self._rerun.file(record, golden.FILE)
        if path is None:
            return []

        def requests() -> Sequence[bytes]:
            examples = golden.read(path, signature)
            return [
                self._codec.write_request(record.model, signature, examples.request(signature, index))
                for index in range(min(examples.count, limit))
            ]

        try:
            return await asyncio.to_thread(requests)
        except LoadError as error:  # the version was opened a moment ago: its file has changed since
            raise UnavailableError(
                "VERSION_NOT_READY", str(error), model=record.model, version=record.version, stateReason=str(error)
            ) from error

    async def _compare(
        self, models: tuple[LoadedModel, LoadedModel], requests: Sequence[bytes], caller: Caller
    ) -> Tally:
        signatures = [model.signature for model in models]
        same_label = signatures[0].label_output == signatures[1].label_output
        tally = Tally(signatures[0].label_output if same_label else "")
        for index, data in enumerate(requests):
            request = self._codec.read_request(data)
            runs: dict[int, Run] = {}
            for place in (0, 1) if index % 2 == 0 else (1, 0):
                runs[place] = await self._run(models[place], request, caller)
                await asyncio.sleep(0)  # a run may have stayed on the loop, where others wait
            tally.add(_rows(signatures[0], request), runs[0], runs[1])
        return tally

    async def _run(self, loaded: LoadedModel, request: Request, caller: Caller) -> Run:
        started = time.perf_counter_ns()
        try:
            result = await self._rerun.run(loaded, request, caller)
        except NeuralMeshError:
            remaining = caller.remaining()
            if remaining is not None and remaining <= 0:
                raise  # the proof was not done in time, which is no error of the version
            return Run(None, time.perf_counter_ns() - started)
        unverified = result.parameters.get("identity") == UNVERIFIED
        return Run(result.outputs, time.perf_counter_ns() - started, unverified)

    def _report(
        self,
        before: VersionRecord,
        after: VersionRecord,
        source: ProofSource,
        requests: Sequence[bytes],
        tally: Tally,
    ) -> Proof:
        digests = hashlib.sha256(b"".join(hashlib.sha256(data).digest() for data in requests))
        return Proof(
            model=after.model,
            baseline_version=before.version,
            baseline_digest=before.digest,
            candidate_version=after.version,
            candidate_digest=after.digest,
            source=source,
            requests_digest="sha256:" + digests.hexdigest(),
            requests=tally.requests,
            rows=tally.rows,
            agreeing_rows=tally.agreeing_rows,
            identical_requests=tally.identical_requests,
            max_output_difference=repr(tally.largest),
            baseline_errors=tally.baseline_errors,
            candidate_errors=tally.candidate_errors,
            new_errors=tally.new_errors,
            baseline_p50_ns=percentile(tally.baseline_ns, 50),
            baseline_p99_ns=percentile(tally.baseline_ns, 99),
            candidate_p50_ns=percentile(tally.candidate_ns, 50),
            candidate_p99_ns=percentile(tally.candidate_ns, 99),
            node=self._node,
            time_ms=time.time_ns() // 1_000_000,
            unverified=tally.unverified,
        )


def _rows(signature: Signature, request: Request) -> int:
    """Return the rows of a request: the first dimension of a first input that counts them, else 1."""
    if not signature.inputs or not signature.inputs[0].batched:
        return 1
    shapes = {tensor.name: tensor.shape for tensor in request.inputs}
    shape = shapes.get(signature.inputs[0].name, ())
    return shape[0] if shape else 1
