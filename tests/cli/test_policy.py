"""Rollouts, policies and protections from the command line."""

from __future__ import annotations

import pytest

from neuralmesh._sync.registry import Registry
from neuralmesh_server.cli import quantities
from neuralmesh_server.errors import InvalidArgumentError

MODEL = "rollouts"
ARMS = ("--canary", 2, "--share", "10%", "--sticky", "parameter:user")


@pytest.fixture(scope="module")
def pushed(suite, tmp_path_factory):
    """Return the commands with a model of three versions that nothing executes."""
    folder = tmp_path_factory.mktemp("versions")
    for number in (1, 2, 3):
        path = folder / f"{number}.bin"
        path.write_text(str(number))
        suite.run("push", MODEL, path, "--kind", "nothing", "--unchecked")
    return suite


def test_a_promotion_with_arms_is_told_everywhere(pushed):
    """The answer, models, versions, show and history name the arms with their shares."""
    told = "1 (canary 2 at 10%, shadow 3 at 100%, by parameter:user)"
    assert told in pushed.run("promote", MODEL, 1, *ARMS, "--shadow", 3, "--alias", "split").stdout
    assert f"split={told}" in pushed.run("models").stdout
    assert f"split promoted: none -> {told}" in pushed.run("history", MODEL, "--alias", "split").stdout
    assert told in pushed.run("show", MODEL).stdout
    named = {version["version"]: version["aliases"] for version in pushed.json("versions", MODEL)}
    assert named == {1: ["split"], 2: ["split canary"], 3: ["split shadow"]}
    state = pushed.json("promote", MODEL, 1, "--shadow", 3, "--share", "0.5%", "--alias", "split")["alias"]["state"]
    assert (state["canary"], state["shadow"]) == (None, {"version": 3, "share_ppm": 5_000})
    back = pushed.json("rollback", MODEL, "--alias", "split")["alias"]["state"]
    assert back["canary"] == {"version": 2, "share_ppm": 100_000}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--canary", 2), "--canary needs --share"),
        (("--share", "5%"), "--share is of"),
        (("--shadow", 2, "--share", "5%", "--shadow-share", "5%"), "--share is of"),
        (("--shadow-share", "5%"), "--shadow-share needs --shadow"),
        (("--canary", 2, "--share", "0.1"), "a share from 0% to 100%"),
        (("--canary", 2, "--share", "101%"), "a share from 0% to 100%"),
        ((*ARMS[:4], "--sticky", "user"), "a sticky key is"),
        (("--canary", "two", "--share", "5%"), "VERSION_INVALID"),
    ],
)
def test_arms_that_make_no_sense_are_refused(pushed, options, why):
    """An arm without its share, a share without its arm, and texts that are none are wrong usage."""
    assert why in pushed.error("promote", MODEL, 1, *options, code=2)


def test_a_policy_changes_part_by_part(pushed):
    """Options change the parts they name and keep the others; without options the policy is shown."""
    assert "those of the node" in pushed.run("policy", MODEL).stdout
    options = ("--receipts", "5%", "--payloads", "--max-age", "7d", "--max-bytes", "256M", "--reason", "audit")
    shown = pushed.run("policy", MODEL, *options).stdout
    assert "5%, payloads, at most 7 d and 256.0 MiB" in shown
    pushed.run("policy", MODEL, "--batch-rows", 64, "--batch-delay", "2ms")
    pushed.run("policy", MODEL, "--max-running", 4, "--max-wait", "100ms")
    policy = pushed.json("policy", MODEL)["policy"]
    assert policy == {
        "receipts": {
            "mode": "MODE_SAMPLED",
            "sample_ppm": 50_000,
            "content": "CONTENT_PAYLOADS",
            "max_age_seconds": 604_800,
            "max_bytes": 256 * 1024 * 1024,
        },
        "batching": {"max_rows": 64, "max_delay_us": 2_000},
        "limits": {"max_running": 4, "max_queued": 0, "max_wait_ms": 100},
    }
    pushed.run("policy", MODEL, "--no-batching", "--receipts", "all", "--digests")
    changed = pushed.json("policy", MODEL)["policy"]
    assert changed["batching"] is None
    assert (changed["receipts"]["mode"], changed["receipts"]["content"]) == ("MODE_ALL", "CONTENT_DIGESTS")
    assert changed["receipts"]["sample_ppm"] == 0
    told = pushed.run("history", MODEL).stdout
    assert "policy: receipts 5%, payloads" in told
    assert "audit" in told
    assert "receipts all, digests" in pushed.run("show", MODEL).stdout


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--no-batching", "--batch-rows", 4), "--no-batching goes without"),
        (("--receipts", "some"), "a share"),
        (("--max-age", "7"), "a duration"),
        (("--max-age", "1500ms"), "whole number of seconds"),
        (("--max-bytes", "much"), "a size"),
        (("--receipts", "0%"), "sample_ppm"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(pushed, options, why):
    """Contradictions and texts that are no amounts are wrong usage, and change nothing."""
    before = pushed.json("policy", MODEL)
    assert why in pushed.error("policy", MODEL, *options, code=2)
    assert pushed.json("policy", MODEL) == before


def test_a_protection_changes_limit_by_limit(pushed):
    """Options change the limits they name and keep the others, also before the alias exists; lifting forgets all."""
    command = ("protect", MODEL, "--alias", "kept", "--require-proof")
    pushed.run(*command, "--min-agreement", "99%", "--max-difference", "1e-4", "--max-new-errors", 3)
    pushed.run(*command, "--min-requests", 10, "--require-source", "recorded")
    pushed.run("promote", MODEL, 1, "--alias", "kept")
    told = pushed.run(*command, "--max-new-errors", 0, "--max-proof-age", "12h", "--allow-unverified").stdout
    assert "at least 10 requests that were recorded" in told
    assert "unverified answers permitted" in told
    assert pushed.json(*command)["protection"] == {
        "require_proof": True,
        "min_agreement_ppm": 990_000,
        "max_output_difference": "1e-4",
        "max_new_errors": 0,
        "max_latency_ratio_ppm": 0,
        "min_requests": 10,
        "max_proof_age_seconds": 43_200,
        "required_source": "SOURCE_RECORDED",
        "allow_unverified": True,
    }
    freed = ("--max-difference", "none", "--require-source", "any", "--refuse-unverified", "--min-agreement", "0%")
    less = pushed.json(*command, *freed)["protection"]
    assert (less["max_output_difference"], less["min_agreement_ppm"]) == ("", 0)
    assert (less["required_source"], less["allow_unverified"]) == ("SOURCE_UNSPECIFIED", False)
    assert "not recorded, golden or any" in pushed.error(*command, "--require-source", "dreams", code=2)
    pushed.run("protect", MODEL, "--alias", "kept", "--lift")
    assert pushed.json(*command)["protection"]["min_requests"] == 0


def test_a_change_that_somebody_else_made_meanwhile_is_not_undone(pushed, here, monkeypatch):
    """When a policy or a protection changes between reading and setting, the command fails and names the conflict."""
    pushed.run("promote", MODEL, 1, "--alias", "raced")
    reads = Registry.get_model, Registry.get_alias

    def get_model(registry, model):
        found = reads[0](registry, model)
        pushed.run("policy", MODEL, "--max-running", 9)
        return found

    def get_alias(registry, model, alias):
        found = reads[1](registry, model, alias)
        pushed.run("protect", MODEL, "--alias", "raced", "--require-proof", "--min-requests", 9)
        return found

    monkeypatch.setattr(Registry, "get_model", get_model)
    monkeypatch.setattr(Registry, "get_alias", get_alias)
    for arguments in (
        ("policy", MODEL, "--receipts", "all"),
        ("protect", MODEL, "--alias", "raced", "--require-proof", "--min-requests", 2),
    ):
        code, _, errors = here(*arguments, env=pushed.env)
        assert (code, "ETAG_MISMATCH" in errors) == (5, True), errors
    monkeypatch.undo()
    assert pushed.json("policy", MODEL)["policy"]["limits"]["max_running"] == 9
    pushed.run("policy", MODEL, "--max-running", 0)


def test_a_protected_alias_refuses_and_tells(pushed):
    """A protection is shown in the model and the history, refuses a promotion without a proof, and can be lifted."""
    pushed.run("promote", MODEL, 1, "--alias", "safe")
    limits = ("--min-agreement", "99%", "--max-difference", "1e-4", "--max-latency-ratio", "1.5", "--min-requests", 10)
    text = pushed.run("protect", MODEL, "--alias", "safe", "--require-proof", *limits, "--max-proof-age", "12h").stdout
    for part in ("at least 10 requests", "from 99%", "to 1e-4", "at most 0 new errors", "1.5 times", "within 12 h"):
        assert part in text
    assert "safe protected" in pushed.run("show", MODEL).stdout
    assert "PROOF_REQUIRED" in pushed.error("promote", MODEL, 2, "--alias", "safe", code=1)
    protection = pushed.json("protect", MODEL, "--alias", "safe", "--lift")["previous_protection"]
    assert (protection["min_agreement_ppm"], protection["max_latency_ratio_ppm"]) == (990_000, 1_500_000)
    pushed.run("promote", MODEL, 2, "--alias", "safe")
    assert "safe no longer protected" in pushed.run("history", MODEL, "--alias", "safe").stdout
    assert "either" in pushed.error("protect", MODEL, code=2)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2ms", 2_000), ("500us", 500), ("1.5s", 1_500_000), ("1m", 60_000_000), ("7d", 604_800 * 10**6)],
)
def test_durations_are_microseconds(text, value):
    """A duration has a number and a unit."""
    assert quantities.microseconds("--x", text) == value


@pytest.mark.parametrize("text", ["", "2", "ms", "-2ms", "2 ms", "2MS", "1.5us", "1e3s", "٢s"])
def test_other_durations_are_refused(text):
    """What is no duration names its option."""
    with pytest.raises(InvalidArgumentError, match="--x is"):
        quantities.microseconds("--x", text)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("512", 512), ("256M", 2**28), ("1.5K", 1536), ("2GiB", 2**31), ("7B", 7)]
)
def test_sizes_are_bytes(text, value):
    """A size has a number and perhaps a power of 1024."""
    assert quantities.size("--x", text) == value


@pytest.mark.parametrize("text", ["", "M", "-1", "1X", "1 M", "nan"])
def test_other_sizes_are_refused(text):
    """What is no size names its option."""
    with pytest.raises(InvalidArgumentError, match="--x is"):
        quantities.size("--x", text)


@pytest.mark.parametrize(
    ("text", "value"), [("0%", 0), ("10%", 100_000), ("0.0001%", 1), ("100%", 1_000_000), ("33.3%", 333_000)]
)
def test_shares_are_exact(text, value):
    """A percentage becomes parts per million without rounding, and back."""
    assert quantities.parts_per_million("--x", text) == value
    assert quantities.parts_per_million("--x", quantities.share_text(value)) == value


@pytest.mark.parametrize("text", ["", "%", "10", "100.1%", "0.00001%", "-1%", "nan%", "inf%"])
def test_other_shares_are_refused(text):
    """What is no share in whole parts names its option."""
    with pytest.raises(InvalidArgumentError, match="--x is"):
        quantities.parts_per_million("--x", text)


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "x", "5000", "1.00000001"])
def test_other_ratios_are_refused(text):
    """What is no ratio in whole parts names its option."""
    with pytest.raises(InvalidArgumentError, match="--x is"):
        quantities.ratio_ppm("--x", text)
