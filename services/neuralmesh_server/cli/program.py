"""The program: its commands, and the one place where failures become a line on standard error and an exit code.

Importing this module imports neither grpc nor any service; commands import what they need when they run, after the
transport has been configured.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from neuralmesh_server.cli import (
    assignments,
    catalog,
    certs,
    doctor,
    edge,
    exit_codes,
    fleet,
    import_qonnx,
    labor,
    load,
    moves,
    policy,
    predict,
    prove,
    push,
    receipts,
    replay,
    rollouts,
    services,
    tokens,
    top,
    trace,
    up,
)
from neuralmesh_server.cli.rendering import plain
from neuralmesh_server.errors import NeuralMeshError
from neuralmesh_server.runtime import transport
from neuralmesh_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="neuralmesh",
    help="Versioned model serving: registry, inference and metrics services, and their client.",
    epilog=exit_codes.epilog(),
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("registry")(services.registry)
app.command("inference")(services.inference)
app.command("metrics")(services.metrics)
app.command("push")(push.push)
app.command("import-qonnx")(import_qonnx.import_qonnx)
app.command("models")(catalog.models)
app.command("versions")(catalog.versions)
app.command("show")(catalog.show)
app.command("promote")(moves.promote)
app.command("rollback")(moves.rollback)
app.command("policy")(policy.policy)
app.command("protect")(policy.protect)
app.command("assign")(assignments.assign)
app.command("unassign")(assignments.unassign)
app.command("assignments")(assignments.assignments)
app.command("fleet")(fleet.fleet)
app.command("history")(moves.history)
app.command("predict")(predict.predict)
app.command("trace")(trace.trace)
app.command("rollouts")(rollouts.rollouts)
app.command("receipts")(receipts.receipts)
app.command("replay")(replay.replay)
app.command("prove")(prove.prove)
app.command("load")(load.load)
app.command("top")(top.top)
app.command("certs")(certs.certs)
app.add_typer(tokens.tokens, name="tokens")
app.add_typer(edge.edge, name="edge")
app.add_typer(labor.labor, name="labor")
app.command("doctor")(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code; `arguments` stands for the command line's."""
    transport.configure()
    try:
        app(arguments, prog_name="neuralmesh")
    except exit_codes.CommandError as error:
        _fail(error.message, error.reason, error.code)
    except NeuralMeshError as error:
        from neuralmesh_server.runtime.status import code_of  # noqa: PLC0415 - imports grpc

        _fail(error.message, error.reason, exit_codes.of_status(code_of(error).name))
    except SettingsError as error:
        _fail(str(error), "", exit_codes.USAGE)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), "", exit_codes.FAILED)
    except KeyboardInterrupt:
        sys.exit(exit_codes.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the program's edge: people get a line and a code for a defect too
        _fail(f"internal error: {type(error).__name__}: {error}", "", exit_codes.FAILED)


def _fail(message: str, reason: str, code: int) -> None:
    line = plain(" ".join(message.splitlines()))
    sys.stderr.write(f"error: {line} ({reason})\n" if reason else f"error: {line}\n")
    sys.exit(code)
