"""Names, versions and digests of the contract: what is permitted, and how resource names are put together.

Only ASCII passes, so that look-alike letters cannot pose as each other. Values in messages are shown with `repr`, so
that control characters stay visible. The registry, inference and metrics services all check names here.
"""

from __future__ import annotations

import re

from neuralmesh_server.errors import InvalidArgumentError

MODEL = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,127})", re.ASCII)
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
NODE = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
ASSIGNMENT = re.compile(r"[0-9a-f]{16}", re.ASCII)
LABEL_KEY = re.compile(r"[a-z][a-z0-9._/-]{0,62}", re.ASCII)
LABEL_VALUE = re.compile(r"[A-Za-z0-9._-]{0,63}", re.ASCII)
KIND = re.compile(r"[a-z][a-z0-9._-]{0,62}", re.ASCII)
VERSION = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)

MAX_VERSION = 2**31 - 1
MAX_LABELS = 32
"""Most labels of an edge node."""
DEFAULT_ALIAS = "production"


def check_model(name: str) -> str:
    """Return a model's name, or raise NAME_INVALID."""
    if not MODEL.fullmatch(name) or ".." in name:
        raise InvalidArgumentError(
            "NAME_INVALID",
            f"model name {_shown(name)} does not match [a-z0-9][a-z0-9._-]{{0,127}} without '..'",
            model=_shown(name),
        )
    return name


def check_alias(name: str) -> str:
    """Return an alias's name, or raise NAME_INVALID."""
    return _check(ALIAS, name, "alias")


def check_node(name: str) -> str:
    """Return a node's name, or raise NAME_INVALID."""
    return _check(NODE, name, "node")


def check_kind(name: str) -> str:
    """Return a version's kind, or raise NAME_INVALID."""
    return _check(KIND, name, "kind")


def check_digest(digest: str) -> str:
    """Return a digest, or raise DIGEST_INVALID."""
    if not DIGEST.fullmatch(digest):
        raise InvalidArgumentError(
            "DIGEST_INVALID",
            f"digest {_shown(digest)} is not 'sha256:' and 64 lower-case hexadecimal digits",
            digest=_shown(digest),
        )
    return digest


def parse_version(text: str) -> int:
    """Return a version's number, or raise VERSION_INVALID: no sign, no space, no leading zero, 1 to 2^31 - 1."""
    if not VERSION.fullmatch(text) or int(text) > MAX_VERSION:
        raise InvalidArgumentError(
            "VERSION_INVALID",
            f"version {_shown(text)} is not a number from 1 to {MAX_VERSION}",
            version=_shown(text),
        )
    return int(text)


def check_version(version: int) -> int:
    """Return a version's number, or raise VERSION_INVALID."""
    if not 1 <= version <= MAX_VERSION:
        raise InvalidArgumentError(
            "VERSION_INVALID", f"version {version} is not from 1 to {MAX_VERSION}", version=version
        )
    return version


def model_name(model: str) -> str:
    """Return `models/{model}`."""
    return f"models/{model}"


def version_name(model: str, version: int) -> str:
    """Return `models/{model}/versions/{version}`."""
    return f"models/{model}/versions/{version}"


def alias_name(model: str, alias: str) -> str:
    """Return `models/{model}/aliases/{alias}`."""
    return f"models/{model}/aliases/{alias}"


def parse_model_name(name: str) -> str:
    """Return the model of `models/{model}`."""
    parts = name.split("/")
    if len(parts) != 2 or parts[0] != "models":
        raise _form(name, "models/{model}")
    return check_model(parts[1])


def parse_version_name(name: str) -> tuple[str, int]:
    """Return the model and version of `models/{model}/versions/{version}`."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != "models" or parts[2] != "versions":
        raise _form(name, "models/{model}/versions/{version}")
    return check_model(parts[1]), parse_version(parts[3])


def parse_alias_name(name: str) -> tuple[str, str]:
    """Return the model and alias of `models/{model}/aliases/{alias}`."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != "models" or parts[2] != "aliases":
        raise _form(name, "models/{model}/aliases/{alias}")
    return check_model(parts[1]), check_alias(parts[3])


def assignment_name(assignment: str) -> str:
    """Return `assignments/{assignment}`."""
    return f"assignments/{assignment}"


def parse_assignment_name(name: str) -> str:
    """Return the assignment of `assignments/{assignment}`."""
    parts = name.split("/")
    if len(parts) != 2 or parts[0] != "assignments":
        raise _form(name, "assignments/{assignment}")
    return _check(ASSIGNMENT, parts[1], "assignment")


def _check(pattern: re.Pattern[str], name: str, what: str) -> str:
    if not pattern.fullmatch(name):
        raise InvalidArgumentError(
            "NAME_INVALID", f"{what} {_shown(name)} does not match {pattern.pattern}", **{what: _shown(name)}
        )
    return name


def _form(name: str, form: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "NAME_INVALID",
        f"resource name {_shown(name)} is not of the form {form}",
        name=_shown(name),
        form=form,
    )


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:80] + "...")
