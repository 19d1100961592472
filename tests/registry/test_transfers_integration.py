"""Artifacts over a real server: chunks, cuts, resumes, ranges, damage."""

from __future__ import annotations

import asyncio
import os

import grpc
import pytest

from neuralmesh.registry.v1 import registry_service_pb2 as api

MIB = 1024 * 1024


def requests(*messages):
    async def stream():
        for message in messages:
            yield message

    return stream()


async def download(registry, name, offset=0, length=0):
    pieces = []
    request = api.DownloadArtifactRequest(digest=name, offset=offset, length=length)
    async for piece in registry.stub.DownloadArtifact(request):
        assert piece.offset == offset + sum(map(len, pieces))
        pieces.append(piece.data)
    return b"".join(pieces)


async def committed(registry, name):
    answer = await registry.stub.GetArtifact(api.GetArtifactRequest(digest=name))
    return answer.committed_bytes, answer.complete


async def test_an_artifact_goes_in_and_comes_out(registry, digest_of):
    """Bytes come out as they went in, in chunks of at most 1 MiB, and the registry says what it holds."""
    data = os.urandom(3 * MIB + 5)
    assert await committed(registry, digest_of(data)) == (0, False)
    answer = await registry.upload(data, chunk=MIB)
    assert (answer.digest, answer.committed_bytes, answer.complete) == (digest_of(data), len(data), True)
    assert await download(registry, digest_of(data)) == data
    assert await committed(registry, digest_of(data)) == (len(data), True)
    missing = await registry.stub.ListMissingArtifacts(
        api.ListMissingArtifactsRequest(digests=[digest_of(b"no"), digest_of(data), digest_of(b"never")])
    )
    assert missing.missing_digests == [digest_of(b"no"), digest_of(b"never")]


async def test_the_empty_artifact(registry, digest_of):
    """An artifact without bytes is stored by one message, and its download is empty."""
    assert (await registry.upload(b"")).complete
    assert await download(registry, digest_of(b"")) == b""


async def test_a_stream_that_ends_early_resumes(registry, digest_of):
    """What arrived before the end of a stream stays, and the upload goes on from there."""
    data = os.urandom(200_000)
    answer = await registry.upload(data, end=70_000)
    assert (answer.committed_bytes, answer.complete) == (70_000, False)
    assert await committed(registry, digest_of(data)) == (70_000, False)
    failure = await registry.failure(registry.upload(data))
    assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "UPLOAD_OFFSET_MISMATCH")
    assert (failure.metadata["expected"], failure.metadata["actual"]) == ("70000", "0")
    assert (await registry.upload(data, offset=70_000)).complete
    assert await download(registry, digest_of(data)) == data


async def test_a_cut_connection_resumes_after_a_restart(serving, tmp_path, digest_of):
    """An upload that is cut in the middle leaves its part, also for the registry's next process."""
    data = os.urandom(5 * MIB)
    name = digest_of(data)
    async with serving(tmp_path / "data") as registry:
        call = registry.stub.UploadArtifact()
        for start in (0, MIB, 2 * MIB):
            await call.write(
                api.UploadArtifactRequest(
                    digest=name, size_bytes=len(data), offset=start, data=data[start : start + MIB]
                )
            )
        async with asyncio.timeout(20):
            while (await committed(registry, name))[0] < MIB:
                continue
        call.cancel()
    async with serving(tmp_path / "data") as registry:
        offset, complete = await committed(registry, name)
        assert MIB <= offset <= 3 * MIB
        assert not complete
        failure = await registry.failure(download(registry, name))
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "ARTIFACT_NOT_FOUND")
        assert (await registry.upload(data, offset=offset, chunk=MIB)).complete
        assert await download(registry, name) == data


async def test_a_wrong_digest_is_refused(registry, digest_of):
    """Bytes of another digest are FAILED_PRECONDITION, nothing is visible, and the next try begins at 0."""
    name = digest_of(b"right")
    message = api.UploadArtifactRequest(digest=name, size_bytes=5, data=b"wrong")
    failure = await registry.failure(registry.stub.UploadArtifact(requests(message)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DIGEST_MISMATCH")
    assert (failure.metadata["expected"], failure.metadata["actual"]) == (name, digest_of(b"wrong"))
    assert await committed(registry, name) == (0, False)
    assert (await registry.upload(b"right")).complete


async def test_bad_chunks_name_their_field(registry, digest_of):
    """Each wrong chunk is refused as FIELD_INVALID with its field, and the stored part stays what it was."""
    name = digest_of(b"abc")
    message = api.UploadArtifactRequest
    bad = [
        ([], "digest"),
        ([message(digest=name, data=b"abc")], "size_bytes"),
        ([message(digest=name, size_bytes=-3)], "size_bytes"),
        ([message(digest=name, size_bytes=3, offset=-1)], "offset"),
        ([message(digest=name, size_bytes=3, data=b"abcd")], "data"),
        ([message(digest=name, size_bytes=2 * MIB, data=bytes(MIB + 1))], "data"),
        ([message(digest=name, size_bytes=3, data=b"a"), message(digest=digest_of(b"x"), offset=1)], "digest"),
    ]
    for messages, field in bad:
        failure = await registry.failure(registry.stub.UploadArtifact(requests(*messages)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
        assert failure.metadata["field"] == field
    assert await committed(registry, name) == (1, False)
    failure = await registry.failure(registry.stub.UploadArtifact(requests(message(digest="sha256:x", size_bytes=1))))
    assert failure.reason == "DIGEST_INVALID"
    failure = await registry.failure(
        registry.stub.UploadArtifact(requests(message(digest=name, size_bytes=2**50, data=b"a")))
    )
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")


async def test_what_is_stored_is_not_taken_twice(registry):
    """Uploading what is stored is answered as complete at once; another size for it is refused."""
    await registry.upload(b"abc")
    assert (await registry.upload(b"abc")).complete
    name = (await registry.file(b"abc")).digest
    message = api.UploadArtifactRequest(digest=name, size_bytes=4, data=b"abcd")
    failure = await registry.failure(registry.stub.UploadArtifact(requests(message)))
    assert failure.metadata["field"] == "size_bytes"


async def test_a_size_below_what_is_stored_costs_nothing(registry, digest_of):
    """A stated size below the stored part is FIELD_INVALID and names that part, which stays and is resumed from."""
    data = os.urandom(100_000)
    await registry.upload(data, end=70_000)
    message = api.UploadArtifactRequest(digest=digest_of(data), size_bytes=50_000, offset=70_000)
    failure = await registry.failure(registry.stub.UploadArtifact(requests(message)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert (failure.metadata["field"], failure.metadata["committed"]) == ("size_bytes", "70000")
    assert await committed(registry, digest_of(data)) == (70_000, False)
    assert (await registry.upload(data, offset=70_000)).complete


async def test_two_uploads_at_once(registry, digest_of):
    """While one upload of an artifact runs, another is ABORTED; the first goes on undisturbed."""
    name = digest_of(b"abcdef")
    first = registry.stub.UploadArtifact()
    await first.write(api.UploadArtifactRequest(digest=name, size_bytes=6, data=b"abc"))
    async with asyncio.timeout(20):
        while (await committed(registry, name))[0] < 3:
            continue
    failure = await registry.failure(registry.upload(b"abcdef", offset=3))
    assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "UPLOAD_IN_PROGRESS")
    await first.write(api.UploadArtifactRequest(offset=3, data=b"def"))
    await first.done_writing()
    assert (await first).complete


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (5, 0), (MIB - 1, 2), (2 * MIB, 0), (7, MIB + 3)])
async def test_ranges(registry, digest_of, offset, length):
    """A ranged download gives exactly its range; one at the very end is empty."""
    data = os.urandom(2 * MIB)
    await registry.upload(data, chunk=MIB)
    wanted = data[offset:] if length == 0 else data[offset : offset + length]
    assert await download(registry, digest_of(data), offset, length) == wanted


@pytest.mark.parametrize(("offset", "length", "field"), [(-1, 0, "offset"), (0, -1, "length"), (4, 0, "offset")])
async def test_bad_ranges(registry, digest_of, offset, length, field):
    """A range that is negative or begins beyond the end is FIELD_INVALID."""
    await registry.upload(b"abc")
    failure = await registry.failure(download(registry, digest_of(b"abc"), offset, length))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", field)


async def test_damage_is_data_loss_until_it_is_repaired(registry, digest_of, tmp_path):
    """A flipped bit makes the download end with DATA_LOSS; the artifact is missing then, and an upload brings it back."""
    data = os.urandom(100_000)
    await registry.upload(data)
    (path,) = (tmp_path / "data" / "artifacts" / "sha256").rglob(digest_of(data)[7:])
    damaged = bytearray(data)
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    failure = await registry.failure(download(registry, digest_of(data)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.DATA_LOSS, "ARTIFACT_CORRUPT")
    missing = await registry.stub.ListMissingArtifacts(api.ListMissingArtifactsRequest(digests=[digest_of(data)]))
    assert missing.missing_digests == [digest_of(data)]
    assert (await registry.upload(data)).complete
    assert await download(registry, digest_of(data)) == data


async def test_too_many_digests_are_refused(registry, digest_of):
    """ListMissingArtifacts takes at most 1000 digests, and only digests."""
    many = api.ListMissingArtifactsRequest(digests=[digest_of(b"x")] * 1001)
    failure = await registry.failure(registry.stub.ListMissingArtifacts(many))
    assert (failure.reason, failure.metadata["field"]) == ("FIELD_INVALID", "digests")
    bad = api.ListMissingArtifactsRequest(digests=["../../etc/passwd"])
    assert (await registry.failure(registry.stub.ListMissingArtifacts(bad))).reason == "DIGEST_INVALID"
