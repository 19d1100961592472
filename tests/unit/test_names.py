"""Names, versions and digests at the edge of every service."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralmesh_server import names
from neuralmesh_server.errors import InvalidArgumentError

BAD_MODELS = [
    "",
    "..",
    "a..b",
    "../etc",
    "a/b",
    "a\\b",
    "a\x00b",
    "Digits",
    "-a",
    ".a",
    "a" * 129,
    "a" * 300,
    "dіgits",  # a Cyrillic letter
    "ｄigits",  # a full-width letter
    "a∕b",  # a division slash
    "a b",
    "a\n",
    "%2e%2e",
]


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_model_names_are_refused(name: str) -> None:
    """A model's name that is not plain ASCII of the documented form is NAME_INVALID."""
    with pytest.raises(InvalidArgumentError) as raised:
        names.check_model(name)
    assert raised.value.reason == "NAME_INVALID"
    assert raised.value.message.isascii()


@pytest.mark.parametrize("name", ["a", "digits", "0", "resnet-50", "a.b_c-d", "a" * 128])
def test_good_model_names_pass(name: str) -> None:
    """A model's name of the documented form is returned as it is."""
    assert names.check_model(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "Production", "a_b", "a.b", "a" * 64, "prοduction", "a\n"])
def test_bad_alias_names_are_refused(name: str) -> None:
    """An alias's name that does not match the documented form is NAME_INVALID."""
    with pytest.raises(InvalidArgumentError) as raised:
        names.check_alias(name)
    assert raised.value.reason == "NAME_INVALID"


@pytest.mark.parametrize(
    "text", ["", "1abc", "-1", " 1", "1 ", "+1", "0", "01", "1.0", "99999999999", "2147483648", "١"]
)
def test_bad_versions_are_refused(text: str) -> None:
    """A version that is not a plain decimal number from 1 to 2^31 - 1 is VERSION_INVALID."""
    with pytest.raises(InvalidArgumentError) as raised:
        names.parse_version(text)
    assert raised.value.reason == "VERSION_INVALID"


@given(st.integers(1, names.MAX_VERSION))
def test_versions_round_trip(version: int) -> None:
    """Every permitted number is read back from its decimal form."""
    assert names.parse_version(str(version)) == version


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha512:" + "a" * 64, "sha256:" + "a" * 65],
)
def test_bad_digests_are_refused(digest: str) -> None:
    """Anything but sha256 and 64 lower-case hexadecimal digits is DIGEST_INVALID."""
    with pytest.raises(InvalidArgumentError) as raised:
        names.check_digest(digest)
    assert raised.value.reason == "DIGEST_INVALID"


def test_resource_names_round_trip() -> None:
    """What the builders put together the parsers take apart."""
    assert names.parse_model_name(names.model_name("digits")) == "digits"
    assert names.parse_version_name(names.version_name("digits", 7)) == ("digits", 7)
    assert names.parse_alias_name(names.alias_name("digits", "production")) == ("digits", "production")


@pytest.mark.parametrize("name", ["digits", "models", "models/", "models/a/b", "model/a", "models/../x", "/models/a"])
def test_bad_resource_names_are_refused(name: str) -> None:
    """A resource name of another form is NAME_INVALID."""
    with pytest.raises(InvalidArgumentError) as raised:
        names.parse_model_name(name)
    assert raised.value.reason == "NAME_INVALID"


@given(st.text(max_size=300))
def test_any_text_is_judged_without_surprise(text: str) -> None:
    """Whatever the text, the answer is the text itself or NAME_INVALID with a short message."""
    if names.MODEL.fullmatch(text) and ".." not in text:
        assert names.check_model(text) == text
        return
    with pytest.raises(InvalidArgumentError) as raised:
        names.check_model(text)
    assert raised.value.reason == "NAME_INVALID"
    assert len(raised.value.message) < 1000
