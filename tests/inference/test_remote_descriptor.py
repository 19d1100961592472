"""`remote.json`: what is read, what is refused, and that no secret can stand in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server.inference.upstreams.descriptor import MAX_BYTES, Descriptor, DescriptorError, parse
from neuralmesh_server.settings import SettingsError, UpstreamCredentials, UpstreamSettings

LEAST: dict[str, Any] = {"address": "host:8001", "model": "m"}
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=256)


@given(
    st.builds(
        Descriptor,
        address=st.sampled_from(["h:1", "a.b-c_d:65535", "127.0.0.1:8001", "[::1]:8001"]),
        model=TEXT.filter(bool),
        version=TEXT,
        expects_digest=st.sampled_from(["", "sha256:" + "a" * 64]),
        tls=st.sampled_from(["off", "system", "mesh"]),
        credentials=st.sampled_from(["", "prod", "a_1"]),
        timeout_ms=st.integers(1, 3_600_000),
    )
)
def test_what_is_written_is_read(descriptor: Descriptor) -> None:
    """A descriptor's canonical bytes are read as the same descriptor."""
    assert parse(descriptor.encode()) == descriptor


def test_defaults_are_left_out() -> None:
    """The same descriptor has the same bytes, however it was given."""
    assert Descriptor(**LEAST, timeout_ms=60_000, tls="off").encode() == b'{"address":"host:8001","model":"m"}'
    assert parse(b' {"model": "m", "unary": true, "address": "host:8001"}\n') == Descriptor(**LEAST)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"token": "secret"}, "unknown keys"),
        ({"address": "user:secret@host:8001"}, "credentials in its 'address'"),
        ({"address": "host"}, "not host:port"),
        ({"address": "host:0"}, "not host:port"),
        ({"address": "host:65536"}, "not host:port"),
        ({"address": "grpc://host:1"}, "not host:port"),
        ({"address": "unix:/run/s"}, "not host:port"),
        ({"address": "host:1/../x"}, "not host:port"),
        ({"address": "h\nost:1"}, "not host:port"),
        ({"address": 8001}, "not host:port"),
        ({"model": ""}, "empty 'model'"),
        ({"model": "m\x1b"}, "'model' that is not text"),
        ({"model": None}, "'model' that is not text"),
        ({"version": 3}, "'version' that is not text"),
        ({"version": "v" * 257}, "'version' that is not text"),
        ({"expects_digest": "sha256:1"}, "wrong 'expects_digest'"),
        ({"tls": True}, "has the tls True"),
        ({"tls": []}, "has the tls []"),
        ({"credentials": "../x"}, "credentials that are no name"),
        ({"timeout_ms": 0}, "timeout_ms 0"),
        ({"timeout_ms": True}, "timeout_ms True"),
        ({"timeout_ms": 1.5}, "timeout_ms 1.5"),
        ({"unary": False}, "'unary'"),
    ],
)
def test_what_is_refused(change: dict[str, Any], said: str) -> None:
    """Unknown keys and wrong values are refused by name, and no value that may be secret is repeated."""
    with pytest.raises(DescriptorError) as caught:
        parse(json.dumps(LEAST | change).encode())
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"x"',
        b"\xff",
        b'{"address":"h:1","model":"m","model":"n"}',
        b'{"model":"m"}',
        b'{"address":"h:1"}',
        b"[" * 60_000,
        b" " * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_descriptor(data: bytes) -> None:
    """Content that is not one JSON object with both of its keys, once, is refused."""
    with pytest.raises(DescriptorError):
        parse(data)


@given(
    st.binary(max_size=200) | st.recursive(TEXT, lambda inner: st.dictionaries(TEXT, inner)).map(str).map(str.encode)
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but DescriptorError comes out of content that somebody else wrote."""
    try:
        parse(data)
    except DescriptorError as error:
        assert len(str(error)) < 600  # noqa: PT017 - either outcome is right


def test_credentials_come_from_the_environment() -> None:
    """A name's variables make its credentials, which show no token."""
    found = UpstreamSettings.from_env(
        {
            "NEURALMESH_UPSTREAMS": "*.internal:8001, 127.0.0.1:*",
            "NEURALMESH_UPSTREAM_ADDRESS_PROD_EU": "triton.internal:8001",
            "NEURALMESH_UPSTREAM_TOKEN_PROD_EU": "secret",
            "NEURALMESH_UPSTREAM_OTHER": "x",
        }
    )
    assert found.permitted == ("*.internal:8001", "127.0.0.1:*")
    assert found.credentials == {"prod_eu": UpstreamCredentials("triton.internal:8001", "secret")}
    assert "secret" not in repr(found)
    assert UpstreamSettings.from_env({}) == UpstreamSettings()


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"NEURALMESH_UPSTREAM_TOKEN_A": "s"}, "NEURALMESH_UPSTREAM_TOKEN_A needs NEURALMESH_UPSTREAM_ADDRESS_A"),
        ({"NEURALMESH_UPSTREAM_ADDRESS_A": "host"}, "NEURALMESH_UPSTREAM_ADDRESS_A"),
        (
            {"NEURALMESH_UPSTREAM_ADDRESS_A": "h:1", "NEURALMESH_UPSTREAM_CA_A": "/nowhere"},
            "NEURALMESH_UPSTREAM_CA_A: no file",
        ),
    ],
)
def test_wrong_credentials_are_named(env: dict[str, str], said: str) -> None:
    """A variable that lacks its address, or is wrong, stops the node with its name."""
    with pytest.raises(SettingsError, match=said):
        UpstreamSettings.from_env(env)
