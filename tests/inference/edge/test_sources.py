"""Where artifacts come from: up the line first, only what is missing, and nothing that is not what it should be."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from neuralmesh import AsyncClient, exceptions
from neuralmesh_server.content_store import ContentStore
from neuralmesh_server.inference.edge.sources import Sources
from neuralmesh_server.inference.links import LinkError
from neuralmesh_server.settings import Endpoint
from tests.inference import models
from tests.inference.conftest import when_settled
from tests.inference.edge.conftest import Site, answer
from tests.inference.edge.fakes import CHUNK

BIG = models.digits_onnx(1, hidden=3000)


def big_digest() -> str:
    """Return the digest of the large model's file."""
    return f"sha256:{hashlib.sha256(BIG).hexdigest()}"


class Scripted:
    """A source that gives pieces, then fails or ends."""

    def __init__(self, content: bytes, error: LinkError | None = None) -> None:
        self.content = content
        self.error = error
        self.asked: list[int] = []

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """Give what there is."""
        del digest
        self.asked.append(offset)
        if self.content[offset:]:
            yield self.content[offset:]
        if self.error is not None:
            raise self.error


async def collect(sources: Sources) -> bytes:
    """Return a whole download."""
    return b"".join([piece async for piece in sources.download("sha256:x", 0)])


async def test_a_download_goes_on_at_the_next_source() -> None:
    """What one source began the other finishes, and each is counted."""
    upstream = Scripted(b"abc", LinkError("PEER_UNREACHABLE", "gone", unreachable=True))
    registry = Scripted(b"abcdef")
    sources = Sources(upstream, registry)
    assert await collect(sources) == b"abcdef"
    assert (registry.asked, sources.upstream_bytes, sources.registry_bytes) == ([3], 3, 3)
    assert await collect(sources) == b"abcdef"
    assert upstream.asked == [0], "what could not be reached is left alone for a while"


async def test_a_source_that_lacks_an_artifact_is_asked_for_the_next() -> None:
    """NOT_FOUND sends the node on, and does not condemn the source."""
    upstream = Scripted(b"", LinkError("ARTIFACT_NOT_FOUND", "no", unreachable=False))
    sources = Sources(upstream, Scripted(b"abc"))
    assert await collect(sources) == b"abc"
    assert await collect(sources) == b"abc"
    assert upstream.asked == [0, 0]


async def test_a_source_that_lied_is_not_asked_again() -> None:
    """Wrong bytes are fetched from elsewhere once, and are no reason to ask for ever."""
    upstream = Scripted(b"lies")
    sources = Sources(upstream, Scripted(b"true"))
    assert await collect(sources) == b"lies"
    assert sources.mistaken("sha256:x")
    assert await collect(sources) == b"true"
    assert not sources.mistaken("sha256:x")


async def test_a_site_fetches_an_artifact_once(site: Site) -> None:
    """The second node gets everything from the first, byte for byte, and says so."""
    first = await site.start("edge-1")
    await site.registry.applied()
    served = dict(site.registry.served)
    upstream = Endpoint.parse(str(first.endpoint), name="upstream")
    second = await site.start("edge-2", upstream=upstream)
    await when_settled(second)
    assert (await answer(site.client(second))).version == 1
    assert site.registry.served == served
    report = await site.registry.reported(lambda one: one.figures.fetched_upstream_bytes)
    assert report.figures.fetched_upstream_bytes == len(models.digits_onnx(1))
    assert not report.figures.fetched_registry_bytes


async def test_without_its_upstream_a_node_asks_the_registry(site: Site) -> None:
    """An upstream that is not there costs little."""
    node = await site.start(upstream=Endpoint("127.0.0.1", 1))
    report = await site.registry.applied()
    assert (await answer(site.client(node))).version == 1
    assert report.figures.fetched_registry_bytes == len(models.digits_onnx(1))


async def test_wrong_bytes_from_upstream_are_fetched_from_the_registry(site: Site) -> None:
    """What an upstream gives is held against its digest, and never loaded when it is something else."""
    first = await site.start("edge-1")
    await site.registry.applied()
    digest = site.registry.digest_of("digits", 1)
    path = ContentStore(site.folder / "edge-1" / "artifacts").path(digest)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1

    path.write_bytes(bytes(content))
    # Read from the middle on, as a resumed download is, an artifact is not verified by who gives it.
    partial = site.folder / "edge-2" / "artifacts" / "partial"
    partial.mkdir(parents=True)
    (partial / digest.removeprefix("sha256:")).write_bytes(content[:10])
    upstream = Endpoint.parse(str(first.endpoint), name="upstream")
    second = await site.start("edge-2", upstream=upstream)
    await when_settled(second)
    assert (await answer(site.client(second))).version == 1
    assert ContentStore(site.folder / "edge-2" / "artifacts").path(digest).read_bytes() == site.registry.content[digest]


async def test_a_cut_download_is_resumed(site: Site) -> None:
    """After a cut at most one chunk comes again."""
    number = site.registry.push("digits", BIG)
    site.registry.cut_after[big_digest()] = 3 * CHUNK
    node = await site.start()
    await site.registry.promote("digits", number)
    await site.registry.applied()
    assert (await answer(site.client(node))).version == number
    assert len(BIG) <= site.registry.served[big_digest()] <= len(BIG) + CHUNK


async def test_damage_in_the_store_is_found_at_load_and_fetched_again(site: Site) -> None:
    """A flipped bit is no version; with the line up the artifact comes again, and only that one."""
    node = await site.start()
    await site.registry.applied()
    await site.stop_node(node)
    digest = site.registry.digest_of("digits", 1)
    path = ContentStore(site.folder / "edge-1" / "artifacts").path(digest)
    content = bytearray(path.read_bytes())
    content[100] ^= 4
    path.write_bytes(bytes(content))
    before = site.registry.served[digest]
    node = await site.start()
    await site.registry.reported(lambda one: one.figures.fetched_registry_bytes)
    await when_settled(node)
    await site.registry.applied()
    assert (await answer(site.client(node))).version == 1
    assert site.registry.served[digest] == before + len(content)


async def test_damage_with_the_line_cut_is_refused_not_served(site: Site) -> None:
    """A damaged version does not answer; the one before does where the operator asks for it."""
    await site.registry.promote("digits", site.registry.push("digits", models.digits_onnx(2)))
    node = await site.start()
    await site.registry.applied()
    await site.stop_node(node)
    await site.registry.stop()
    path = ContentStore(site.folder / "edge-1" / "artifacts").path(site.registry.digest_of("digits", 2))
    path.write_bytes(path.read_bytes()[:-1])
    node = await site.start()
    await when_settled(node)
    client = site.client(node)
    with pytest.raises(exceptions.UnavailableError, match="version 2"):
        await answer(client)
    await client.edge.override_alias("digits", version=1)
    assert (await answer(client)).version == 1


async def test_every_node_gives_artifacts(site: Site) -> None:
    """Ranges, the end, what is not there, and what is wrong."""
    node = await site.start()
    await site.registry.applied()
    digest, content = site.registry.digest_of("digits", 1), models.digits_onnx(1)
    client = site.client(node)

    async def fetch(offset: int, name: str = digest, client: AsyncClient = client) -> bytes:
        return b"".join([one.data async for one in client.edge.fetch_artifact(name, offset=offset)])

    assert await fetch(0) == content
    assert await fetch(len(content) - 5) == content[-5:]
    assert await fetch(len(content)) == b""
    for offset, name, reason in (
        (len(content) + 1, digest, "FIELD_INVALID"),
        (-1, digest, "FIELD_INVALID"),
        (0, "sha256:" + "0" * 64, "ARTIFACT_NOT_FOUND"),
        (0, "md5:1", "DIGEST_INVALID"),
    ):
        with pytest.raises(exceptions.NeuralMeshError) as raised:
            await fetch(offset, name)
        assert raised.value.reason == reason
