"""What a server of these tests listens with."""

import pytest

from neuralmesh_server.settings import GRPC, NATIVE


@pytest.fixture(params=[NATIVE, GRPC])
def transport(request: pytest.FixtureRequest) -> str:
    """Have the test run over the native front and over grpcio's server."""
    return str(request.param)
