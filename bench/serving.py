"""What serving costs: the empty handler, the packed network and the ONNX MLP, in interleaved rounds of one run.

`make bench`. Every round is printed, then the medians, then what has a target. The status is 1 when a target is missed;
nothing is run again until it passes. The models are the demo's, trained here; one request is one row of the digits.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neuralmesh_server.runtime import transport

transport.configure()

import grpc  # noqa: E402 - the transport is configured before grpc is imported
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

from bench import load  # noqa: E402
from bench.processes import ROOT, Memory, ServerProcess, Suite  # noqa: E402
from bench.start_time import first_answer_seconds  # noqa: E402
from neuralmesh import Client, oip  # noqa: E402
from neuralmesh.registry.v1 import resources_pb2  # noqa: E402
from neuralmesh_server.demo import digits  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY_TARGET_MB = 300
FIRST_ANSWER_TARGET_SECONDS = 3.0
REQUESTS = {1: 3000, 16: 16000}
WARM_UP_REQUESTS = 1000
EMPTY, PACKED, ONNX = "empty handler", "packed network", "ONNX MLP"
READY_SECONDS = 20.0
MIB = 2**20
SAID: list[str] = []
SUMMARY: list[str] = []


@dataclass(frozen=True, slots=True)
class Row:
    """Something to send requests to: the process whose time is counted, and the framed request."""

    name: str
    process: ServerProcess
    address: str
    body: Path


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of one row."""

    run: load.Run
    cpu_us: float

    def cells(self) -> str:
        """Return the columns of a printed row."""
        run = self.run
        return f"{run.rate:10,.0f} {run.p50_us:9.0f} {run.p99_us:9.0f} {self.cpu_us:9.1f}"


HEADING = f"{'':5} {'':16} {'clients':>7} {'req/s':>10} {'p50 us':>9} {'p99 us':>9} {'cpu us':>9}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds, at least 5 for numbers to publish")
    parser.add_argument("--write", action="store_true", help="put the output into docs/performance.md and README.md")
    arguments = parser.parse_args()
    load.find_h2load()
    say(f"machine: {machine()}")
    say(f"versions: Python {platform.python_version()}, grpcio {grpc.__version__}, NumPy {np.__version__},")
    say(f"          onnxruntime {onnxruntime.__version__}, {load.version()}")
    with tempfile.TemporaryDirectory(prefix="neuralmesh-bench-") as name:
        missed = bench(Path(name), arguments.rounds)
    say("missed: " + "; ".join(missed) if missed else "every target is met")
    if arguments.write:
        write(ROOT / "docs" / "performance.md", "```\n" + "\n".join(SAID) + "\n```")
        write(ROOT / "README.md", "\n".join(SUMMARY))
    if missed:
        sys.exit(1)


def bench(folder: Path, rounds: int) -> list[str]:
    """Measure everything; returns the targets that were missed."""
    seconds = statistics.median(first_answer_seconds(folder / f"up-{number}") for number in range(3))
    data = digits.load()
    files = {ONNX: folder / "mlp.onnx", PACKED: folder / "packed.safetensors"}
    say("training the two models")
    digits.write_mlp(data, files[ONNX])
    digits.write_network(digits.train_network(data, lambda _done, _of: None), files[PACKED])
    suite_folder = folder / "suite"
    suite_folder.mkdir()
    with Suite(suite_folder) as suite:
        idle = total_memory(suite)
        rows, empty = prepare(suite, folder, files, data)
        try:
            measure(rows, rounds)
        finally:
            empty.stop()
        loaded = total_memory(suite)
    say("")
    say(f"{'':34} {'measured':>10} {'target':>10}")
    say(f"{'three services idle, resident':34} {idle.rss / MIB:7.0f} MB {'< ' + str(MEMORY_TARGET_MB):>7} MB")
    say(f"{'  shared pages counted once':34} {idle.pss / MIB:7.0f} MB")
    say(f"{'  after the load, resident':34} {loaded.rss / MIB:7.0f} MB")
    say(f"{'`neuralmesh up` to first answers':34} {seconds:8.2f} s {'< ' + str(FIRST_ANSWER_TARGET_SECONDS):>8} s")
    SUMMARY.append("")
    SUMMARY.append(f"Medians of interleaved rounds on {machine()}, h2load on the same machine.")
    SUMMARY.append(
        f"The three services together hold {idle.rss / MIB:.0f} MB when idle, and all answer {seconds:.1f} s after "
        "`neuralmesh up` was typed."
    )
    missed = []
    if idle.rss / MIB >= MEMORY_TARGET_MB:
        missed.append("memory when idle")
    if seconds >= FIRST_ANSWER_TARGET_SECONDS:
        missed.append("time to the first answer")
    return missed


def prepare(suite: Suite, folder: Path, files: dict[str, Path], data: digits.Digits) -> tuple[list[Row], ServerProcess]:
    """Push the models, verify their replies, and start the empty handler with an answer as long as theirs."""
    inference = suite.processes["inference"]
    rows = []
    answer = b""
    addresses = suite.addresses
    with Client(
        registry=addresses["registry"], inference=addresses["inference"], metrics=addresses["metrics"]
    ) as client:
        for name, kind in ((PACKED, "liam.binary_network"), (ONNX, "onnx")):
            model = name.split()[0].lower()
            version = client.push(model, files[name], kind=kind, signature=signature())
            until(partial(client.inference.model_ready, model), f"{model} is ready")
            prediction = client.infer(model, {"input": data.held_out_images})
            accuracy = float((prediction.outputs["label"] == data.held_out_labels).mean())
            say(f"{name}: version {version.version}, {version.size_bytes:,} bytes, accuracy {accuracy:.3f}")
            request = one_row(model, data.held_out_images[0])
            reply = client.inference.model_infer(request)
            verify(reply, model)
            answer = reply.SerializeToString()
            body = folder / f"{model}.frame"
            body.write_bytes(load.frame(request))
            say(f"  request {len(request)} bytes, answer {len(answer)} bytes")
            rows.append(Row(name, inference, addresses["inference"], body))
    path = folder / "answer"
    path.write_bytes(answer)
    empty = ServerProcess(["-m", "bench.empty_handler", str(path)], {"PYTHONPATH": str(ROOT)}, folder / "empty.log")
    return [Row(EMPTY, empty, empty.listening("empty"), rows[0].body), *rows], empty


def measure(rows: list[Row], rounds: int) -> None:
    """Run the rounds and print them and their medians."""
    for row in rows:
        load.run(row.address, row.body, requests=WARM_UP_REQUESTS, clients=4)
    results: dict[tuple[str, int], list[Figures]] = {}
    say("")
    say(HEADING)
    for number in range(1, rounds + 1):
        for clients, requests in REQUESTS.items():
            for row in rows:
                before = row.process.cpu_seconds()
                run = load.run(row.address, row.body, requests=requests, clients=clients)
                figures = Figures(run, (row.process.cpu_seconds() - before) / requests * 1e6)
                results.setdefault((row.name, clients), []).append(figures)
                say(f"{number:5} {row.name:16} {clients:7} {figures.cells()}")
    say("")
    say(HEADING.replace("      ", "median", 1))
    SUMMARY.append("| one row of digits | clients | requests/s | p50 | p99 | server CPU per request |")
    SUMMARY.append("|---|---:|---:|---:|---:|---:|")
    for (name, clients), all_figures in results.items():
        middle = Figures(
            load.Run(
                REQUESTS[clients],
                statistics.median(figures.run.rate for figures in all_figures),
                statistics.median(figures.run.p50_us for figures in all_figures),
                statistics.median(figures.run.p99_us for figures in all_figures),
            ),
            statistics.median(figures.cpu_us for figures in all_figures),
        )
        say(f"{'':5} {name:16} {clients:7} {middle.cells()}")
        SUMMARY.append(
            f"| {name} | {clients} | {middle.run.rate:,.0f} | {middle.run.p50_us:.0f} us | {middle.run.p99_us:.0f} us "
            f"| {middle.cpu_us:.0f} us |"
        )


def one_row(model: str, image: np.ndarray[Any, Any]) -> bytes:
    """Return a request for one row, as a client would send it."""
    request = oip.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=[1, digits.FEATURES])
    request.raw_input_contents.append(image.astype("<f4").tobytes())
    return bytes(request.SerializeToString())


def verify(reply: Any, model: str) -> None:
    """Hold a reply against the signature; h2load would not notice an error status."""
    found = {output.name: (output.datatype, list(output.shape)) for output in reply.outputs}
    expected = {"label": ("INT64", [1]), "scores": ("FP32", [1, digits.CLASSES])}
    if found != expected or "prediction_id" not in reply.parameters:
        raise SystemExit(f"{model} answered {found}, parameters {sorted(reply.parameters)}")


def signature() -> resources_pb2.Signature:
    """Return the signature that both models have."""
    spec = resources_pb2.TensorSpec
    return resources_pb2.Signature(
        inputs=[spec(name="input", datatype="FP32", shape=[-1, digits.FEATURES])],
        outputs=[
            spec(name="label", datatype="INT64", shape=[-1]),
            spec(name="scores", datatype="FP32", shape=[-1, digits.CLASSES]),
        ],
        label_output="label",
    )


def total_memory(suite: Suite) -> Memory:
    """Return the memory of the three services together."""
    each = [process.memory() for process in suite.processes.values()]
    return Memory(rss=sum(memory.rss for memory in each), pss=sum(memory.pss for memory in each))


def until(holds: Callable[[], bool], what: str) -> None:
    """Ask again until a condition holds."""
    deadline = time.monotonic() + READY_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{READY_SECONDS:.0f} seconds passed and it is still not so that {what}")
        time.sleep(0.02)


def machine() -> str:
    """Return the processor's name and the number of processors."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.machine()
    return f"{name}, {os.cpu_count()} processors, Linux {platform.release()}"


def say(text: str) -> None:
    """Print a line at once."""
    SAID.append(text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write(page: Path, text: str) -> None:
    """Put a text between the marks of a page."""
    before, begin, rest = page.read_text().partition("<!-- bench -->")
    _, end, after = rest.partition("<!-- /bench -->")
    if not begin or not end:
        raise SystemExit(f"{page} has no marks for the output")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


if __name__ == "__main__":
    main()
