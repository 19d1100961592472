"""The Open Inference Protocol's messages are private to the package."""

from __future__ import annotations

import subprocess
import sys

import pytest
from google.protobuf import descriptor_pool

from neuralmesh import oip

SHARED = """
import sys
{imports}
import numpy
theirs = grpcclient.InferInput("input", [1, 2], "FP32")
theirs.set_data_from_numpy(numpy.zeros((1, 2), numpy.float32))
ours = oip.ModelInferRequest(model_name="m")
assert type(ours).DESCRIPTOR.file.pool is not __import__("google.protobuf.descriptor_pool").protobuf.descriptor_pool.Default()
assert "inference" not in sys.modules
assert grpcclient.service_pb2.ModelInferRequest.FromString(ours.SerializeToString()).model_name == "m"
"""


def test_the_default_pool_stays_free():
    """Importing the client registers nothing of the package `inference` in the default pool."""
    code = (
        "import neuralmesh, sys\n"
        "from google.protobuf import descriptor_pool\n"
        "from neuralmesh import oip\n"
        "oip.ModelInferRequest()\n"
        "assert 'inference' not in sys.modules\n"
        "try:\n"
        "    descriptor_pool.Default().FindMessageTypeByName('inference.ModelInferRequest')\n"
        "except KeyError:\n"
        "    sys.exit(0)\n"
        "sys.exit('registered in the default pool')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert oip.DESCRIPTOR.pool is not descriptor_pool.Default()


@pytest.mark.parametrize(
    "imports",
    [
        "import tritonclient.grpc as grpcclient\nfrom neuralmesh import Client, oip",
        "from neuralmesh import Client, oip\noip.ModelInferRequest()\nimport tritonclient.grpc as grpcclient",
    ],
)
def test_it_shares_a_process_with_the_triton_client(imports):
    """Both clients work in one process whichever is imported first, and their bytes are the same."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", SHARED.format(imports=imports)], check=True)


def test_every_message_is_an_attribute():
    """Each message of the contract is found by its name, the same class each time; other names raise AttributeError."""
    for name, descriptor in oip.DESCRIPTOR.message_types_by_name.items():
        assert getattr(oip, name) is oip.message_class(descriptor)
        assert name in dir(oip)
    with pytest.raises(AttributeError, match="Nothing"):
        _ = oip.Nothing
