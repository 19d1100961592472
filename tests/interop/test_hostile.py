"""Hostile requests over the wire: names, shapes, sizes and bytes that no client would send; the server stays live.

Cases 4.15 (paths in names) and 4.17 (denial of service) of the reference. Each corpus runs against the real process, and
afterwards the server is live, ready and right.
"""

import random
import socket
import struct
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from neuralmesh import oip

from .conftest import FEATURES, Served

SERVICE = "/inference.GRPCInferenceService/"
NAMES = [
    "..", "../../etc/passwd", "..\\..\\windows", "/etc/passwd", "file:///etc/passwd", "%2e%2e%2fetc", "a/../b", "a\0b",
    "~root", "a" * 256, "A" * 4096, "ｂits", "bіts", "bits\u2215x", "bits/", ".bits", "bits\n", " ", "-", "$(id)",
    "`id`", "bits;drop table", "models/bits", "\u202ebits", "con", "🜃",
]  # fmt: skip
VERSIONS = ["-1", "0", "01", "1abc", " 1", "1 ", "+1", "1e0", "0x1", "٣", "9" * 40, "2147483648", "../1", "1/..", "\0"]
SHAPES = [
    [-1, FEATURES], [2**63 - 1, FEATURES], [-(2**63), FEATURES], [2**32, 2**32], [2**31, 2**31, 2**2], [0] * 64,
    [1] * 1000, [2**62, 0], [3, -FEATURES], [FEATURES], [], [3, FEATURES, 1], [1, FEATURES],
]  # fmt: skip


@pytest.fixture
def channel(served: Served) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(served.address("inference"), options) as made:
        yield made
        live = made.unary_unary(f"{SERVICE}ServerReady")(b"", timeout=20)
        assert oip.ServerReadyResponse.FromString(live).ready
        answer = oip.ModelInferResponse.FromString(ask(made, good().SerializeToString()))
        expected = served.expected["bits"](np.ones((3, FEATURES), np.float32))[0]
        assert np.frombuffer(answer.raw_output_contents[0], "<i8").tolist() == expected.tolist()


def good() -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name="bits")
    request.inputs.add(name="input", datatype="FP32", shape=[3, FEATURES])
    request.raw_input_contents.append(np.ones((3, FEATURES), np.float32).tobytes())
    return request


def ask(channel: grpc.Channel, data: bytes, method: str = "ModelInfer") -> bytes:
    answer: bytes = channel.unary_unary(SERVICE + method)(data, timeout=20)
    return answer


def outcome(channel: grpc.Channel, data: bytes) -> str:
    """Return the name of the status of a prediction."""
    try:
        ask(channel, data)
    except grpc.RpcError as error:
        name: str = error.code().name
        return name
    return "OK"


def refusal(channel: grpc.Channel, data: bytes, method: str = "ModelInfer") -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as failure:
        ask(channel, data, method)
    return failure.value.code().name, failure.value.details() or ""


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names(channel: grpc.Channel, served: Served, name: str) -> None:
    """No name reaches a file: it is refused or unknown in every method, and no message shows a path of the server."""
    request = good()
    request.model_name = name
    refused = [refusal(channel, request.SerializeToString())]
    for method, kind in (
        ("ModelMetadata", oip.ModelMetadataRequest),
        ("ModelConfig", oip.ModelConfigRequest),
        ("ModelStatistics", oip.ModelStatisticsRequest),
    ):
        refused.append(refusal(channel, kind(name=name).SerializeToString(), method))
    for method, kind in (
        ("RepositoryModelLoad", oip.RepositoryModelLoadRequest),
        ("RepositoryModelUnload", oip.RepositoryModelUnloadRequest),
    ):
        refused.append(refusal(channel, kind(model_name=name).SerializeToString(), method))
        refused.append(refusal(channel, kind(repository_name=name).SerializeToString(), method))
    for code, message in refused:
        assert code in {"INVALID_ARGUMENT", "NOT_FOUND"}
        assert str(served.suite.folder) not in message
    ready = ask(channel, oip.ModelReadyRequest(name=name).SerializeToString(), "ModelReady")
    assert not oip.ModelReadyResponse.FromString(ready).ready


@pytest.mark.parametrize("version", VERSIONS, ids=ascii)
def test_versions(channel: grpc.Channel, version: str) -> None:
    """What is no version is refused, and never taken for one."""
    request = good()
    request.model_version = version
    code, _ = refusal(channel, request.SerializeToString())
    assert code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(channel: grpc.Channel, shape: list[int]) -> None:
    """Shapes that overflow, are negative, too long or do not fit their bytes are refused before anything is allocated."""
    request = good()
    request.inputs[0].shape[:] = shape
    code, _ = refusal(channel, request.SerializeToString())
    assert code == "INVALID_ARGUMENT"


def test_cut_requests(channel: grpc.Channel) -> None:
    """Every prefix of a request is refused, or answered with an error of the caller's."""
    data = good().SerializeToString()
    for size in range(0, len(data), 7):
        code, _ = refusal(channel, data[:size])
        assert code in {"INVALID_ARGUMENT", "NOT_FOUND"}


def test_changed_requests(channel: grpc.Channel) -> None:
    """Requests with random bytes changed are answered or refused as the caller's error, never as the server's."""
    rng, data, codes = random.Random(5), good().SerializeToString(), set()
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            changed[rng.randrange(min(len(changed), 60))] = rng.randrange(256)
        codes.add(outcome(channel, bytes(changed)))
    assert codes <= {"OK", "INVALID_ARGUMENT", "NOT_FOUND"}
    assert len(codes) > 1


def test_unknown_fields_and_repeated_ones(channel: grpc.Channel) -> None:
    """A message that protobuf reads is answered, however it is written."""
    data = good().SerializeToString()
    unknown = b"\xfa\x3f\x03abc" + b"\xa0\x06\x01"
    assert ask(channel, unknown + data + unknown)
    assert ask(channel, b"\x0a\x05other" + data)  # the last model_name counts
    code, _ = refusal(channel, data + b"\x0a\x05other")
    assert code == "NOT_FOUND"


def test_deeply_nested_and_wide_requests(channel: grpc.Channel) -> None:
    """Ten thousand inputs, outputs, parameters or buffers are refused quickly."""
    for field in ("inputs", "outputs", "parameters", "raw_input_contents"):
        request = good()
        for number in range(10_000):
            if field == "inputs":
                request.inputs.add(name=f"x{number}", datatype="FP32", shape=[1])
            elif field == "outputs":
                request.outputs.add(name=f"x{number}")
            elif field == "parameters":
                request.parameters[f"triton_{number}"].bool_param = True
            else:
                request.raw_input_contents.append(b"")
        assert refusal(channel, request.SerializeToString())[0] == "INVALID_ARGUMENT"


def test_a_message_over_the_limit_is_refused(channel: grpc.Channel) -> None:
    """A message of 65 MiB is RESOURCE_EXHAUSTED."""
    request = good()
    request.raw_input_contents[0] = bytes(65 * 1024 * 1024)
    assert refusal(channel, request.SerializeToString())[0] == "RESOURCE_EXHAUSTED"


def test_a_prefix_of_two_gibibytes_takes_no_memory(channel: grpc.Channel, served: Served) -> None:
    """Length prefixes of 2 GiB and more, with little behind them, take no memory; other calls are answered meanwhile."""
    before = memory(served)
    host, _, port = served.address("inference").rpartition(":")
    for length in (2**31, 2**32 - 1, 2**31 - 1):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(preface() + frame(0, 0, 1, b"\x00" + struct.pack(">I", length) + b"abc"))
            assert connection.recv(9)  # the server speaks HTTP/2 on this connection
            assert ask(channel, good().SerializeToString())
            assert memory(served) < before + 64 * 1024 * 1024


def memory(served: Served) -> int:
    """Return the resident bytes of the inference process."""
    pid = served.suite.processes["inference"].pid
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 - no file
        return int(file.read().split()[1]) * 4096


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def preface() -> bytes:
    """Return what opens a connection and a call of ModelInfer, with literal headers."""

    def header(name: bytes, value: bytes) -> bytes:
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

    path = f"{SERVICE}ModelInfer".encode()
    block = b"".join(
        (
            header(b":method", b"POST"),
            header(b":scheme", b"http"),
            header(b":path", path),
            header(b":authority", b"x"),
            header(b"te", b"trailers"),
            header(b"content-type", b"application/grpc"),
        )
    )
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, block)
