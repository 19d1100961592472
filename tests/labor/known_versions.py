"""A registry of one model whose alias can be moved: what the labor service asks of a registry, without one."""

from __future__ import annotations

import asyncio
import hashlib

from neuralmesh_server.errors import NotFoundError
from neuralmesh_server.labor.plan import EXACT, FilePin, Numerics, VersionPin
from neuralmesh_server.labor.planner import Resolved


def sha(data: bytes) -> str:
    """Return the digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class KnownVersions:
    """See neuralmesh_server.labor.planner.Versions; it knows `digits`, and answers while `answers` is set."""

    def __init__(self) -> None:
        self.production = 1
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def resolve(self, reference: str) -> Resolved:
        """Return a version of `digits`."""
        self.asked.set()
        await self.answers.wait()
        model, _, rest = reference.replace("@", "/").partition("/")
        if model != "digits":
            raise NotFoundError("MODEL_NOT_FOUND", f"there is no model {model}", model=model)
        number = self.production if rest == "production" else int(rest)
        files = (FilePin("model.safetensors", 3, sha(b"abc")),)
        digest = sha(f"version {number}".encode())
        pin = VersionPin(model, number, "liam.binary_network", digest, files, Numerics("liam/1", EXACT))
        return Resolved(pin, {"input": (8,)})
