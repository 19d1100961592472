"""No room for the database: changes are refused, what was acknowledged stays, and reads and later writes go on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap

import apsw
import pytest

from neuralmesh_server.errors import ResourceExhaustedError
from neuralmesh_server.registry.catalog import Catalog
from neuralmesh_server.registry.records import Actor, Origin
from neuralmesh_server.registry.store_sqlite import SqliteStore


class NoArtifacts:
    async def sizes(self, digests):
        return {}


ANN = Origin(Actor("ann"))


async def test_a_full_database_refuses_and_keeps(tmp_path):
    """When no page is left, changes fail with STORAGE_FULL, alone or in a group; nothing acknowledged is lost."""
    path = tmp_path / "registry.sqlite"
    store = SqliteStore(path, max_pages=60)
    catalog = Catalog(store, NoArtifacts(), lambda: 1)
    stored = []

    async def fill():
        for number in range(100):
            await catalog.create_model(f"m{number}", "d" * 4000, ANN)
            stored.append(f"m{number}")

    with pytest.raises(ResourceExhaustedError) as caught:
        await fill()
    assert caught.value.reason == "STORAGE_FULL"
    assert stored
    group = await asyncio.gather(
        *(catalog.create_model(f"group{number}", "d" * 4000, ANN) for number in range(5)), return_exceptions=True
    )
    assert all(isinstance(result, ResourceExhaustedError) for result in group)
    assert sorted(model.name for model in await catalog.models("", 100)) == sorted(stored)
    store.close()
    roomy = SqliteStore(path)
    catalog = Catalog(roomy, NoArtifacts(), lambda: 1)
    assert (await catalog.create_model("after", "", ANN)).revision == len(stored) + 1
    assert (await roomy.read(lambda view: view.head())).revision == len(stored) + 1
    roomy.close()
    assert apsw.Connection(str(path)).pragma("integrity_check") == "ok"


def test_a_full_disk_refuses_and_recovers(tmp_path):
    """When the file system refuses to grow a file, changes fail with STORAGE_FULL, reads go on, and so do later writes."""
    script = textwrap.dedent("""
        import asyncio, pathlib, resource, signal, sys
        from neuralmesh_server.errors import ResourceExhaustedError
        from neuralmesh_server.registry.catalog import Catalog
        from neuralmesh_server.registry.records import Actor, Origin
        from neuralmesh_server.registry.store_sqlite import SqliteStore

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        ANN = Origin(Actor("ann"))

        async def main():
            store = SqliteStore(pathlib.Path(sys.argv[1]))
            catalog = Catalog(store, None, lambda: 1)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
            stored = []
            refused = 0
            for number in range(200):
                try:
                    await catalog.create_model(f"m{number}", "d" * 4000, ANN)
                    stored.append(f"m{number}")
                except ResourceExhaustedError as error:
                    assert error.reason == "STORAGE_FULL", error.reason
                    refused += 1
                    if refused == 5:
                        break
            assert stored and refused == 5, (len(stored), refused)
            listed = [model.name for model in await catalog.models("", 1000)]
            assert sorted(listed) == sorted(stored), (listed, stored)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            model = await catalog.create_model("after", "", ANN)
            assert model.revision == len(stored) + 1
            assert (await store.read(lambda view: view.head())).revision == model.revision
            store.close()
            print("recovered")

        asyncio.run(main())
    """)
    path = tmp_path / "registry.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert (done.stdout.splitlines()[-1:], done.returncode) == (["recovered"], 0), done.stderr
    assert apsw.Connection(str(path)).pragma("integrity_check") == "ok"
