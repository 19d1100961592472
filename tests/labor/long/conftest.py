"""One array for all tests at length."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from neuralmesh.labor.v1 import resources_pb2 as pb
from tests.labor.whole import Whole
from tests.processes import Service


@pytest.fixture(scope="session")
def array(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A registry with two models, and data of 600 shards."""
    folder = tmp_path_factory.mktemp("array")
    registry = Service("registry", folder).start()
    try:
        yield Whole(folder, registry.address, 12_000)
    finally:
        registry.kill()


@pytest.fixture(scope="session")
def expected(array: Whole) -> dict[str, str]:
    """The output digests of the job on one process in peace, by version."""
    with array.local("quiet", 1) as labor:
        return {
            version: array.run(labor, array.spec(version=version, kind=pb.JOB_KIND_EVALUATE)).output_digest
            for version in ("digits@production", "digits-onnx@production")
        }
