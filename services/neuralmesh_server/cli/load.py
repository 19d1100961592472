"""`neuralmesh load`: requests at a fixed rate or from a number of callers, measured, and every answer checked."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import reference, rendering
from neuralmesh_server.cli.connection import addressed, existing_file
from neuralmesh_server.cli.exit_codes import FAILED, CommandError
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from neuralmesh_server.load.loops import Harness
    from neuralmesh_server.load.record import Outcome
    from neuralmesh_server.load.workload import Workload

_SHOWN_EVERY_SECONDS = 1.0
_SHAPES = ("poisson", "uniform")


@addressed
def load(
    options: Mapping[str, Any],
    *,
    which: Annotated[
        str, typer.Argument(metavar="MODEL[@VERSION|@ALIAS]", help="What to send to; else the alias production.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="[NAME=]FILE", help=".npy or .json with rows of an input; else drawn ones."),
    ] = None,
    rate: Annotated[float | None, typer.Option(metavar="PER_SECOND", min=0.01, help="Open loop at this rate.")] = None,
    clients: Annotated[int | None, typer.Option(metavar="N", min=1, help="Closed loop of so many callers.")] = None,
    duration: Annotated[float, typer.Option(metavar="SECONDS", min=0.01, help="How long.")] = 10.0,
    connections: Annotated[int, typer.Option(metavar="N", min=1, max=256, help="Connections, used in turn.")] = 4,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="Rows of a request.")] = 1,
    shape: Annotated[str, typer.Option(metavar="poisson|uniform", help="Distances between requests.")] = "poisson",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the schedule and of drawn rows.")] = 1,
    json: Json = False,
) -> None:
    """Send requests, measure latencies, and check each answer against the version that it names.

    Latencies run from the moment a request was meant to be sent. The exit code is 1 when a request failed or an answer
    was wrong.
    """
    model, version = reference.split(which)
    if (rate is None) == (clients is None):
        raise _invalid("rate", "give either --rate, for an open loop, or --clients, for a closed one")
    if shape not in _SHAPES:
        raise _invalid("shape", f"--shape is {' or '.join(_SHAPES)}, not {shape!r}")
    workload = asyncio.run(read_workload(options, (model, version), data=data or [], rows=rows, seed=seed))
    plan = _plan(rate, clients, duration, shape, seed)
    outcome = _run(_drive(options, connections, workload, plan, None if json else duration))
    if json:
        rendering.print_json(
            {"model": model, "version": version, "rate": rate, "clients": clients, **outcome.as_json()}
        )
    else:
        print_outcome(outcome, rate)
    if not outcome.good:
        raise CommandError(verdict(outcome), "", FAILED)


def _plan(
    rate: float | None, clients: int | None, duration: float, shape: str, seed: int
) -> Callable[[Harness], Awaitable[Outcome]]:
    """Return what a harness is to do."""
    from neuralmesh_server.load import schedule  # noqa: PLC0415 - imports NumPy

    if clients is not None:
        return lambda harness: harness.closed_loop(clients, duration)
    assert rate is not None
    times = schedule.uniform(rate, duration) if shape == "uniform" else schedule.poisson(rate, duration, seed)
    return lambda harness: harness.open_loop(times)


def _run(work: Any) -> Outcome:
    """Run on the loop that is fastest."""
    import uvloop  # noqa: PLC0415 - only this command needs it

    outcome: Outcome = uvloop.run(work)
    return outcome


async def _drive(
    options: Mapping[str, Any],
    connections: int,
    workload: Workload,
    plan: Callable[[Harness], Awaitable[Outcome]],
    shown_seconds: float | None,
) -> Outcome:
    """Connect, learn what the present version says, run the plan, and show how it goes."""
    from neuralmesh_server.load.loops import Connections, Harness  # noqa: PLC0415 - imports grpc

    async with Connections(options, connections) as opened:
        harness = Harness(opened, workload)
        await harness.expect(await harness.current())
        shown = shown_seconds is not None and sys.stdout.isatty()
        display = asyncio.create_task(_show(harness, shown_seconds or 0.0)) if shown else None
        try:
            return await plan(harness)
        finally:
            if display is not None:
                display.cancel()
                with suppress(asyncio.CancelledError):
                    await display


async def _show(harness: Harness, seconds: float) -> None:
    """Keep one line on the terminal up to date; more would cost the schedule its punctuality."""
    from rich.live import Live  # noqa: PLC0415 - services start without rich
    from rich.text import Text  # noqa: PLC0415

    record, started, seen = harness.record, time.monotonic(), 0
    with Live(Text(""), console=rendering.console(), auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(_SHOWN_EVERY_SECONDS)
            answered = record.answered
            harness.answers.settle()
            line = (
                f"{time.monotonic() - started:5.0f} of {seconds:.0f} s   {answered - seen:7,}/s   "
                f"p50 {_quantile(record.corrected, 0.5)}   p99 {_quantile(record.corrected, 0.99)}   "
                f"open {record.open:,}   failed {record.failed:,}   wrong {harness.answers.wrong:,}"
            )
            seen = answered
            live.update(Text(line), refresh=True)


def _quantile(histogram: Any, q: float) -> str:
    return rendering.seconds_text(histogram.quantile(q)) if histogram.count else "-"


async def read_workload(
    options: Mapping[str, Any], which: tuple[str, str], *, data: Sequence[str], rows: int, seed: int
) -> Workload:
    """Return the requests of a run, from files or drawn from the model's signature.

    Raises:
        InvalidArgumentError: The data does not fit the model.
        SettingsError: There is no such file.
    """
    from neuralmesh import AsyncClient  # noqa: PLC0415 - imports grpc
    from neuralmesh_server.load import workload  # noqa: PLC0415

    async with AsyncClient(**options) as client:
        metadata = await client.inference.model_metadata(*which)
    specs = {spec.name: (spec.datatype, list(spec.shape)) for spec in metadata.inputs}
    if data:
        parts: Sequence[Mapping[str, NDArray[Any]]] = workload.split_rows(read_data(data, specs), rows)
    else:
        parts = workload.drawn(specs, rows, seed)
    return workload.Workload.of(*which, parts)


def read_data(items: Sequence[str], specs: Mapping[str, tuple[str, list[int]]]) -> dict[str, NDArray[Any]]:
    """Return the array of each input from its file; the only input of a model needs no name.

    Raises:
        InvalidArgumentError: An input is missing, unknown or given twice, or a file cannot be read.
        SettingsError: There is no such file.
    """
    from neuralmesh_server.cli.predict import read_input  # noqa: PLC0415 - imports the rest of that command

    arrays: dict[str, NDArray[Any]] = {}
    for item in items:
        name, separator, file = item.partition("=")
        if not separator:
            if len(specs) != 1:
                raise _invalid("data", f"the model has inputs {', '.join(specs)}: write --data NAME={item}")
            name, file = next(iter(specs)), item
        if name in arrays or name not in specs:
            raise _invalid("data", f"input {name!r} is {'given twice' if name in arrays else 'unknown'}")
        existing_file(file, f"input {name!r}")
        arrays[name] = read_input(name, f"@{Path(file)}", dict(specs))
    if missing := sorted(specs.keys() - arrays.keys()):
        raise _invalid("data", f"no data for {', '.join(missing)}")
    return arrays


def print_outcome(outcome: Outcome, rate: float | None) -> None:
    """Print what was measured, for people."""
    from neuralmesh_server.load.record import QUANTILES, latencies  # noqa: PLC0415 - as above

    record, answers = outcome.record, outcome.answers
    names = ["min", "mean", *(name for name, _ in QUANTILES), "max"]
    lines = [("from the intended moment" if rate else "from sending", record.corrected)]
    if rate:
        lines += [("from sending", record.raw), ("late to send", record.lag)]
    rendering.print_table(
        ("latency", *(f"{name}>" for name in names)),
        [
            (title, *(rendering.seconds_text(value) if value > 0 else "0" for value in latencies(kept).values()))
            for title, kept in lines
            if kept.count
        ],
    )
    if record.failures:
        rendering.print_table(
            ("status", "reason", "requests>", "what"),
            [(*kind, f"{count:,}", record.messages[kind]) for kind, count in record.failures.most_common()],
        )
    total = answers.versions.total()
    wanted = f" of {rate:,.0f} wanted" if rate else ""
    rendering.print_facts(
        (
            (
                "requests",
                f"{record.sent:,} in {record.seconds:.1f} s, {record.answered / record.seconds:,.0f}/s{wanted}",
            ),
            ("failed", f"{record.failed:,}"),
            *(
                (f"version {version or '?'}", f"{count:,} answers, {count / total:.2%}")
                for version, count in sorted(answers.versions.items())
            ),
            ("right", f"{answers.right:,}"),
            ("wrong", f"{answers.wrong:,}"),
            *(("", f"request {one.request} by version {one.version}: {one.why}") for one in answers.examples),
            *((f"version {version} not checked", why) for version, why in answers.unasked.items()),
        )
    )
    for limit in record.limits():
        rendering.print_line(f"the client was the limit: {limit}")


def verdict(outcome: Outcome) -> str:
    """Say in a sentence what was not good about a run."""
    record, answers = outcome.record, outcome.answers
    said = [
        f"{count:,} {what}"
        for count, what in (
            (record.failed, f"of {record.sent:,} requests failed"),
            (answers.wrong, "answers were wrong"),
            (answers.unjudged, "answers could not be checked"),
        )
        if count
    ]
    return "; ".join(said)


def _invalid(field: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError("FIELD_INVALID", why, field=field)
