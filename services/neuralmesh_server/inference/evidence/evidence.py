"""What a node can show for its answers, put together: receipts, their replay, and proofs.

All of it works beside serving, in one thread of its own that everything else goes before.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from neuralmesh_server.inference import inputs
from neuralmesh_server.inference.backends.execution import Execution
from neuralmesh_server.inference.evidence.prove import Proofs
from neuralmesh_server.inference.evidence.recorder import Recorder
from neuralmesh_server.inference.evidence.replay import Replays
from neuralmesh_server.inference.evidence.rerun import Rerun
from neuralmesh_server.inference.holding.opening import Opening
from neuralmesh_server.inference.policy import DEFAULT
from neuralmesh_server.inference.traffic.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralmesh_server.inference.backends.backend import Backend
    from neuralmesh_server.inference.evidence.prove import Codec as ProveCodec
    from neuralmesh_server.inference.evidence.receipts import Archive, HotPath, Ledger, Neighbours
    from neuralmesh_server.inference.evidence.replay import Codec as ReplayCodec
    from neuralmesh_server.inference.holding.artifacts import Artifacts
    from neuralmesh_server.inference.holding.replica import Replica
    from neuralmesh_server.inference.reporting.activity import Activity
    from neuralmesh_server.inference.request import Caller, Request
    from neuralmesh_server.inference.serving import LoadedModel
    from neuralmesh_server.inference.traffic.lanes import Result

LOWEST_PRIORITY = 19


class Evidence:
    """Receipts, replays and proofs of a node.

    Args:
        archive: Where receipts are kept.
        ledger: What counts them.
        neighbours: The receipts of other processes of this node.
        replica: What the registry says.
        artifacts: Where files come from.
        backends: Backend of each kind.
        activity: Where counters of opened versions come from; nothing here counts in them.
        runtimes: What runs a version here, by its kind.
        replay_codec: What reads recorded bytes.
        prove_codec: What reads and writes requests.
        node: Name of this node.
        key: The node's id key, 32 bytes.

    Attributes:
        recorder: Keeps receipts.
        replays: Runs them again.
        proofs: Compares versions.
    """

    def __init__(
        self,
        *,
        archive: Archive,
        ledger: Ledger,
        neighbours: Neighbours,
        replica: Replica,
        artifacts: Artifacts,
        backends: Mapping[str, Backend],
        activity: Activity,
        runtimes: Mapping[str, str],
        replay_codec: ReplayCodec,
        prove_codec: ProveCodec,
        node: str,
        key: bytes,
    ) -> None:
        self._threads = ThreadPoolExecutor(1, "evidence", initializer=_step_back)
        self._execution = Execution(self._threads)
        self._lanes = Lanes(self._execution, 1)
        opening = Opening(artifacts=artifacts, backends=backends, activity=activity, threads=self._threads, rank=_alike)
        self.recorder = Recorder(
            archive=archive,
            ledger=ledger,
            runtimes=runtimes,
            limits=lambda: {model: policy.receipts for model, policy in replica.policies.items()},
        )
        rerun = Rerun(replica=replica, open_version=opening.open, fetch=artifacts.files, run=self._run)
        self.replays = Replays(
            recorder=self.recorder, rerun=rerun, codec=replay_codec, runtimes=runtimes, neighbours=neighbours
        )
        self.proofs = Proofs(recorder=self.recorder, rerun=rerun, codec=prove_codec, node=node, key=key)

    def attach(self, hot: HotPath) -> None:
        """Write the codec's receipts as well."""
        self.recorder.attach(hot)

    async def close(self) -> None:
        """End what runs, and write every receipt that waits."""
        self._lanes.close()
        self._execution.close()
        await self.recorder.close()
        self._threads.shutdown(cancel_futures=True)

    async def _run(self, loaded: LoadedModel, request: Request, caller: Caller) -> Result:
        return await self._lanes.run(DEFAULT, loaded, request, inputs.read(loaded, request), caller)


def _alike(key: tuple[str, int]) -> int:
    del key
    return 0


def _step_back() -> None:
    """Give this thread the lowest priority: on Linux it is a thread's own."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
