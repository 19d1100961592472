"""`push --upstream`: a version that another server runs, from the command line."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def pushed(suite, liam_model):
    """Return the suite with a model `near` that it runs, and a model `far` of which its own node is the upstream."""
    suite.run("push", "near", liam_model, "--promote")
    suite.wait_ready("near", "production")
    suite.run(
        "push", "far", "--upstream", f"grpc://{suite.env['NEURALMESH_INFERENCE']}", "--upstream-model", "near",
        "--upstream-version", "1", "--upstream-timeout", "2.5", "--promote",
    )  # fmt: skip
    suite.wait_ready("far", "production")
    return suite


def test_an_upstream_becomes_a_version(pushed):
    """The version is of kind remote, has one file, and answers as its upstream does."""
    shown = pushed.json("show", "far@production")
    assert (shown["kind"], [file["path"] for file in shown["files"]]) == ("remote", ["remote.json"])
    near, far = (pushed.json("predict", name, "--input", "input=[1, -1, 1, -1]") for name in ("near", "far"))
    assert far["outputs"] == near["outputs"]
    assert far["digest"] == shown["digest"] != near["digest"]


def test_the_same_descriptor_is_the_same_version(pushed):
    """Flags that say the same make the same bytes; another timeout makes another version."""
    flags = ("push", "far", "--upstream", f"grpc://{pushed.env['NEURALMESH_INFERENCE']}", "--upstream-model", "near",
             "--upstream-version", "1")  # fmt: skip
    assert pushed.json(*flags, "--upstream-timeout", "2.5")["version"] == 1
    assert pushed.json(*flags)["version"] == 2


def test_a_signature_is_taken_from_another_version(pushed, liam_model):
    """--signature-of declares what another version of the model declares."""
    pushed.run("push", "both", liam_model)
    found = pushed.json(
        "push", "both", "--upstream", "grpc://127.0.0.1:1", "--upstream-model", "m", "--signature-of", "1"
    )
    assert found["signature"] == pushed.json("show", "both@1")["signature"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give either a PATH or --upstream"),
        (("--upstream", "grpc://h:1"), "--upstream and --upstream-model go together"),
        (("--upstream", "http://h:1", "--upstream-model", "m"), "does not begin with grpc://"),
        (("--upstream", "grpc://u:p@h:1", "--upstream-model", "m"), "has credentials in its 'address'"),
        (("--upstream", "grpc://h", "--upstream-model", "m"), "not host:port"),
        (("--upstream", "grpc://h:1", "--upstream-model", "m", "--expects-digest", "1"), "wrong 'expects_digest'"),
    ],
)
def test_wrong_flags_are_named(suite, arguments, said):
    """What is wrong with an upstream is said before anything is sent."""
    assert said in suite.error("push", "m", *arguments, code=2)


def test_a_path_and_an_upstream_exclude_each_other(suite, liam_model):
    """A version comes from files or from a server."""
    assert "either" in suite.error("push", "m", liam_model, "--upstream", "grpc://h:1", "--upstream-model", "m", code=2)


def test_a_descriptor_written_by_hand(suite, tmp_path):
    """A file remote.json is recognised and checked before it is sent."""
    file = tmp_path / "remote.json"
    file.write_text('{"address": "127.0.0.1:1", "model": "m"}')
    assert suite.json("push", "hand", file)["kind"] == "remote"
    file.write_text('{"address": "127.0.0.1:1", "model": "m", "token": "t"}')
    assert "unknown keys ['token']" in suite.error("push", "hand", file, code=2)
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert "has a file remote.json" in suite.error("push", "hand", other, "--kind", "remote", code=2)
