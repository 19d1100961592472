"""An output of the labor array as the messages of an upload."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmesh.labor.v1 import worker_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 1024 * 1024


def upload_requests(worker: str, digest: str, source: Path | bytes) -> Iterator[pb.UploadResultRequest]:
    """Yield the header and the pieces of an output, given as a file or as bytes."""
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    yield pb.UploadResultRequest(header=pb.ResultHeader(digest=digest, size=size, worker=worker))
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as reader:
        while piece := reader.read(PIECE_BYTES):
            yield pb.UploadResultRequest(data=piece)
