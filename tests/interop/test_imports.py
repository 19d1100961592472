"""`neuralmesh` shares a process with the other clients of the protocol, whichever is imported first."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TOOLS

USE = """
from neuralmesh import Client, oip
message = oip.ModelInferRequest(model_name="digits")
assert oip.ModelInferRequest.FromString(message.SerializeToString()).model_name == "digits"
assert oip.ModelInferRequest.DESCRIPTOR.full_name == "inference.ModelInferRequest"
"""
TRITON = """
import tritonclient.grpc
theirs = tritonclient.grpc.service_pb2.ModelInferRequest(model_name="digits")
assert theirs.SerializeToString()
"""
KSERVE = """
import kserve
from kserve.protocol.grpc import grpc_predict_v2_pb2
theirs = grpc_predict_v2_pb2.ModelInferRequest(model_name="digits")
assert theirs.SerializeToString()
"""
SAME_BYTES = "assert oip.ModelInferRequest.FromString(theirs.SerializeToString()) == message\n"


def run(python: Path | str, code: str) -> None:
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("first", ["neuralmesh", "tritonclient"])
def test_beside_tritonclient(first: str) -> None:
    """Both work in one process with tritonclient.grpc, in either order, and read each other's bytes."""
    code = USE + TRITON if first == "neuralmesh" else TRITON + USE
    run(sys.executable, code + SAME_BYTES)


@pytest.mark.parametrize("first", ["neuralmesh", "kserve"])
def test_beside_kserve(first: str) -> None:
    """Both work in one process with kserve, in either order, and read each other's bytes."""
    code = USE + KSERVE if first == "neuralmesh" else KSERVE + USE
    run(TOOLS / "interop" / "bin" / "python", code + SAME_BYTES)


def test_no_module_named_inference() -> None:
    """Importing neuralmesh leaves no top-level module `inference` and nothing of that package in the default pool."""
    run(
        sys.executable,
        USE
        + """
import sys
from google.protobuf import descriptor_pool
assert "inference" not in sys.modules
try:
    descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")
except KeyError:
    pass
else:
    raise AssertionError("the default pool knows the package inference")
""",
    )
