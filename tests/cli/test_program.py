"""The program as a whole: help, usage errors, exit codes, settings of the services, the doctor without services."""

from __future__ import annotations

import subprocess
import sys

import grpc
import pytest

from neuralmesh_server.cli import exit_codes
from neuralmesh_server.cli.checkup import transport
from tests.cli.processes import PROGRAM, clean_environment
from tests.processes import PATIENCE

COMMANDS = [
    "up",
    "registry",
    "inference",
    "metrics",
    "edge",
    "push",
    "models",
    "versions",
    "show",
    "promote",
    "rollback",
    "history",
    "predict",
    "trace",
    "top",
    "certs",
    "tokens",
    "doctor",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(here, command):
    """Each command of the contract exists and says what it is for."""
    code, shown, _ = here(command, "--help")
    assert code == 0
    assert f"neuralmesh {command}" in shown
    assert "--help" in shown


def test_help_lists_the_exit_codes(commands):
    """The table of exit codes stands in --help."""
    shown = " ".join(commands.run("--help").stdout.split())
    for code, meaning in exit_codes.MEANINGS.items():
        assert f"{code} {meaning}" in shown


def test_every_status_has_a_documented_exit_code():
    """Each gRPC status maps to an exit code that the table explains, and none but OK to success."""
    for status in grpc.StatusCode:
        if status is not grpc.StatusCode.OK:
            assert exit_codes.of_status(status.name) in exit_codes.MEANINGS
            assert exit_codes.of_status(status.name) != exit_codes.OK
    assert set(exit_codes.STATUS_CODES) <= {status.name for status in grpc.StatusCode}


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("push",), ("push", "m", "/no/such/file"), ("top", "--interval", "x"), ("up", "x")]
)
def test_wrong_usage_exits_with_two(here, arguments):
    """Unknown commands, missing arguments and paths that do not exist exit with 2 and a message."""
    code, output, errors = here(*arguments)
    assert (code, output) == (2, "")
    assert errors


@pytest.mark.parametrize("command", ["models", "top", "trace"])
def test_an_unreachable_service_exits_with_four(here, command):
    """Where nothing listens the command names the address and exits with 4."""
    argument = ("nm1.x",) if command == "trace" else ()
    flags = ("--registry", "127.0.0.1:1", "--metrics", "127.0.0.1:1")
    code, output, errors = here(command, *argument, *flags)
    assert (code, output) == (4, "")
    assert "127.0.0.1:1 cannot be reached" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models", "--registry", "nowhere"), "NEURALMESH_REGISTRY: 'nowhere' is not host:port"),
        (("models", "--tls-ca", "/no/ca"), "NEURALMESH_TLS_CERT"),
        (("registry", "--listen", "0.0.0.0:0"), "--insecure"),
        (("registry", "--listen", "x"), "NEURALMESH_REGISTRY_LISTEN"),
        (("inference", "--node", "Bad Name"), "NEURALMESH_NODE"),
        (("edge", "--labels", "tier"), "NEURALMESH_EDGE_LABELS"),
        (("edge", "--labels", "Tier=edge"), "NEURALMESH_EDGE_LABELS"),
        (("edge", "--max-bytes", "much"), "NEURALMESH_EDGE_MAX_BYTES"),
        (("edge", "--upstream", "x"), "NEURALMESH_EDGE_UPSTREAM"),
        (("metrics", "--http", "x"), "NEURALMESH_METRICS_HTTP"),
        (("push", "m", __file__, "--metadata", "x", "--kind", "text"), "KEY=VALUE"),
        (("push", "m", __file__, "--unchecked"), "--kind"),
        (("push", "m", __file__, "--kind", "Big"), "NAME_INVALID"),
    ],
)
def test_wrong_settings_name_themselves(here, arguments, message):
    """A setting or argument that is wrong is named in one line, and nothing starts."""
    code, output, errors = here(*arguments)
    assert (code, output) == (2, "")
    assert message in errors


@pytest.mark.parametrize("name", ["registry", "inference", "metrics"])
def test_each_service_runs_alone(name, tmp_path):
    """A service started by itself announces where it listens and ends with 0 at SIGTERM."""
    extra = ["--http", ""] if name == "metrics" else []
    process = subprocess.Popen(
        [*PROGRAM, name, "--listen", "127.0.0.1:0", "--data", str(tmp_path), *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdout.readline().startswith(f"listening {name} 127.0.0.1:")
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_starting_imports_neither_grpc_nor_rich():
    """The program loads without grpc, so that the transport can be configured, and services start without rich."""
    code = (
        "import sys, neuralmesh_server.cli\n"
        "found = {'grpc', 'rich', 'onnxruntime', 'numpy', 'cryptography'} & set(sys.modules)\n"
        "sys.exit(f'imported: {found}' if found else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_doctor_says_that_nothing_runs(commands, tmp_path):
    """Without services the doctor warns about each, finds the rest well, leaves no file and exits with 0."""
    nowhere = ("--registry", "127.0.0.1:1", "--inference", "127.0.0.1:1", "--metrics", "127.0.0.1:1")
    findings = {item["check"]: item for item in commands.json("doctor", "--data", tmp_path / "data", *nowhere)}
    assert {findings[name]["status"] for name in ("registry", "inference", "metrics")} == {"warn"}
    assert {findings[name]["status"] for name in ("kernel", "sqlite", "clock", "grpcio", "transport")} == {"ok"}
    assert list(tmp_path.iterdir()) == []
    assert "self-test" in commands.run("doctor", "--data", tmp_path, *nowhere).stdout


def test_the_doctor_says_who_listens():
    """The native front where it can; else grpcio's server and why, which needs its experiment."""
    experiment = {"GRPC_EXPERIMENTS": "-event_engine_listener"}
    found = [
        transport(environ)
        for environ in ({}, {"NEURALMESH_TRANSPORT": "grpc", **experiment}, {"NEURALMESH_TLS_CERT": "cert.pem"})
    ]
    assert [one.status for one in found] == ["ok", "ok", "fail"]
    for one, words in zip(found, ("native front", "NEURALMESH_TRANSPORT=grpc", "(TLS)"), strict=True):
        assert words in one.detail


def test_the_doctor_fails_where_something_is_wrong(commands, tmp_path):
    """A data folder that is a file makes the doctor fail with 1 and name it."""
    (tmp_path / "data").write_text("")
    done = commands.run("doctor", "--data", tmp_path / "data", "--registry", "127.0.0.1:1", code=1)
    assert f"{tmp_path / 'data'} is no folder" in done.stdout
