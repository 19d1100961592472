"""The package's front door."""

from __future__ import annotations

import subprocess
import sys

import pytest

import neuralmesh


def test_every_public_name_is_there():
    """Each name of __all__ can be imported from the package and is listed; others raise AttributeError."""
    for name in neuralmesh.__all__:
        assert getattr(neuralmesh, name) is not None
        assert name in dir(neuralmesh)
    with pytest.raises(AttributeError, match="Nothing"):
        _ = neuralmesh.Nothing


@pytest.mark.parametrize("statement", ["import neuralmesh", "from neuralmesh.errors.v1 import errors_pb2"])
def test_the_messages_come_without_the_client(statement):
    """Importing the package or its generated messages loads neither grpc nor numpy."""
    code = f"import sys\n{statement}\nsys.exit(str(found) if (found := {{'grpc', 'numpy'}} & set(sys.modules)) else 0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_parts_work_whatever_is_imported_first():
    """The generated namespaces registry, metrics and errors do not hide the client's names, nor the other way round."""
    code = (
        "from neuralmesh.metrics.v1 import metrics_service_pb2\n"
        "from neuralmesh import Client, exceptions, oip\n"
        "client = Client()\n"
        "assert client.metrics.get_operations and client.registry.get_model and client.inference.infer\n"
        "import neuralmesh.registry.v1.resources_pb2\n"
        "assert neuralmesh.exceptions is exceptions\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
