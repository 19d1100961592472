"""Writes one inference request as the load tools want it, after asking the server for its answer once.

    python clients/load/request.py 127.0.0.1:8001 MODEL[@VERSION|@ALIAS] FOLDER [--data NAME=rows.npy ...] [--rows N]

FOLDER gets
    request.bin    the message, for ghz (--binary-file)
    request.frame  the message behind gRPC's five bytes, for h2load (--data)
    answer.bytes   the size of a whole answer with its frame: h2load does not read grpc-status, but it counts bytes

Without --data the inputs are drawn from the model's signature. TLS files and a token come from NEURALMESH_TLS_CERT,
_KEY, _CA and NEURALMESH_TOKEN. Needs the Python client only (`pip install neuralmesh-client`).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from neuralmesh import Client, TlsFiles
from neuralmesh.exceptions import NeuralMeshError
from neuralmesh.prediction import build_request, read_response
from neuralmesh.tensors import DTYPES

SEED = 1
FRAME_BYTES = 5


def main() -> None:
    """Write the files; say on one line what they hold, or why there are none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="host:port, or unix:PATH")
    parser.add_argument("model", help="MODEL, MODEL@VERSION or MODEL@ALIAS")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE.npy", help="rows of an input")
    parser.add_argument("--rows", type=int, default=1, help="rows of the request")
    given = parser.parse_args()
    model, _, version = given.model.partition("@")
    try:
        with Client(**connection(given.address)) as client:
            inputs = read_inputs(client.inference.model_metadata(model, version), given.data, given.rows)
            request = build_request(model, inputs, version=version, outputs=(), request_id="", parameters=None)
            answer = client.inference.model_infer(request)
    except (NeuralMeshError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    prediction, message = read_response(answer), request.SerializeToString()
    given.folder.mkdir(parents=True, exist_ok=True)
    (given.folder / "request.bin").write_bytes(message)
    (given.folder / "request.frame").write_bytes(b"\x00" + len(message).to_bytes(4, "big") + message)
    (given.folder / "answer.bytes").write_text(f"{answer.ByteSize() + FRAME_BYTES}\n")
    print(
        f"{prediction.model}@{prediction.version} answered {', '.join(prediction.outputs)}: request {len(message)} "
        f"bytes, answer {answer.ByteSize()} bytes, in {given.folder}"
    )


def connection(address: str) -> dict[str, Any]:
    """Return the client's arguments for an address and the environment."""
    arguments: dict[str, Any] = {"inference": address}
    cert, key, ca = (os.environ.get(f"NEURALMESH_TLS_{name}") for name in ("CERT", "KEY", "CA"))
    if cert and key and ca:
        arguments["tls"] = TlsFiles(ca=Path(ca), cert=Path(cert), key=Path(key))
    if os.environ.get("NEURALMESH_TOKEN"):
        arguments["token"] = os.environ["NEURALMESH_TOKEN"]
    return arguments


def read_inputs(metadata: Any, data: list[str], rows: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return the first rows of each input's file, or values drawn from the signature.

    Raises:
        ValueError: An input is unknown, or has no data and a type that nothing can be drawn from.
    """
    files = dict(item.partition("=")[::2] for item in data)
    unknown = files.keys() - {spec.name for spec in metadata.inputs}
    if unknown:
        raise ValueError(f"the model has no input {', '.join(sorted(unknown))}")
    random = np.random.default_rng(SEED)
    inputs = {}
    for spec in metadata.inputs:
        if spec.name in files:
            inputs[spec.name] = np.ascontiguousarray(np.load(files[spec.name], allow_pickle=False)[:rows])
            continue
        if spec.datatype not in DTYPES or spec.datatype == "BF16":
            raise ValueError(f"input {spec.name} is {spec.datatype}: give --data {spec.name}=FILE.npy")
        shape = [(rows if place == 0 else 1) if size == -1 else size for place, size in enumerate(spec.shape)]
        inputs[spec.name] = (random.standard_normal(shape) * 4).astype(DTYPES[spec.datatype])
    return inputs


if __name__ == "__main__":
    main()
