"""The demo's story: serve, measure, promote a bad version, see it, go back, and prove what made one answer.

Every figure that is printed comes from the services in this run. Each step checks what it claims; the first that does
not hold ends the demo with a non-zero status.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from neuralmesh_server.demo import digits
from neuralmesh_server.demo.stage import DemoError, check, until

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from neuralmesh import Client
    from neuralmesh_server.demo.digits import Digits

MODEL = "digits"
ALIAS = "production"
LOOK_EVERY = 25
"""Labelled predictions between two looks at the live accuracy of a newly promoted version."""


@dataclass(slots=True)
class Story:
    """One run of the demo.

    Attributes:
        client: Connected to the three services.
        console: Where people read along.
        folder: Where the model files are written.
        expected: Correct rows by version, counted by the script only to check the services' figures.
        sent: Rows sent by version.
    """

    client: Client
    console: Console
    folder: Path
    expected: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)

    def run(self) -> None:
        """Tell the story; raises DemoError at the first step that does not hold."""
        self._heading("Train three versions on the UCI handwritten digits")
        data = digits.load()
        files = self._train(data)
        self._heading("Push them to the registry")
        for version, (path, description) in enumerate(files, start=1):
            self._push(version, path, description)
        for version, reason in ((1, "first release"), (2, "one bit a weight")):
            self._heading(f"Promote version {version} and send it the held-out third")
            self._promote(version, reason)
            self._send(version, data)
            self._check_accuracy(version, floor=0.95 if version == 1 else 0.90)
        self._heading("Promote version 3: its file is valid, its digest is right, its weights are not")
        self._promote(3, "retrained overnight")
        bad_prediction = self._send_until_worse(3, baseline=2, data=data)
        self._heading("Roll back with one call")
        self._roll_back(expected=2)
        self._heading("What made that answer?")
        self._trace(bad_prediction, version=3)
        self._heading("All versions, as the metrics service measured them")
        self._table()

    def _train(self, data: Digits) -> list[tuple[Path, str]]:
        paths = [self.folder / name for name in ("v1-mlp.onnx", "v2-bits.safetensors", "v3-bits.safetensors")]
        digits.write_mlp(data, paths[0])
        self._say(f"version 1: scikit-learn MLP, exported to ONNX, {paths[0].stat().st_size:,} bytes")
        with self._progress() as progress:
            bar = progress.add_task("training bits", total=None)
            network = digits.train_network(data, lambda done, of: progress.update(bar, completed=done, total=of))
        digits.write_network(network, paths[1])
        self._say(f"version 2: packed binary network for LIAM, {paths[1].stat().st_size:,} bytes")
        digits.write_network(digits.perturb(network, share=0.25), paths[2])
        self._say("version 3: version 2 with a quarter of its hidden weights flipped")
        return list(
            zip(
                paths,
                (
                    "scikit-learn MLP through skl2onnx",
                    "packed binary network",
                    "packed binary network, perturbed",
                ),
                strict=True,
            )
        )

    def _push(self, number: int, path: Path, description: str) -> None:
        version = self.client.push(
            MODEL,
            path,
            kind="onnx" if path.suffix == ".onnx" else "liam.binary_network",
            signature=_signature(),
            description=description,
            metadata={"data": "UCI handwritten digits, two thirds, seed 7"},
            reason="demo",
        )
        check(version.version == number, f"pushed version {version.version} instead of {number}")
        self._say(f"version {number}: {version.kind}, {version.digest}")

    def _promote(self, version: int, reason: str) -> None:
        self.client.promote(MODEL, version, alias=ALIAS, reason=reason)
        self._await_serving(version)
        self._say(f"{ALIAS} is version {version}: {reason}")

    def _await_serving(self, version: int) -> None:
        def serves() -> bool:
            if not self.client.inference.model_ready(MODEL, ALIAS):
                return False
            return bool(self.client.inference.model_metadata(MODEL, ALIAS).properties["version"] == str(version))

        until(serves, f"the node serves version {version} as {ALIAS}")

    def _send(self, version: int, data: Digits) -> None:
        with self._progress() as progress:
            for row in progress.track(range(len(data.held_out_images)), description=f"version {version}"):
                self._predict(version, data, row)

    def _predict(self, version: int, data: Digits, row: int) -> tuple[str, int, int]:
        """Send one held-out image and its true label; returns the id, what was predicted and what was true."""
        truth = int(data.held_out_labels[row])
        prediction = self.client.infer(MODEL, {"input": data.held_out_images[row : row + 1]})
        check(prediction.version == version, f"version {prediction.version} answered instead of {version}")
        label = int(prediction.outputs["label"][0])
        self.client.metrics.record_outcome(prediction.prediction_id, [truth])
        self.sent[version] = self.sent.get(version, 0) + 1
        self.expected[version] = self.expected.get(version, 0) + (label == truth)
        return prediction.prediction_id, label, truth

    def _figures(self, version: int) -> Any:
        """Return the metrics service's figures of a version once they hold every outcome that was sent."""

        def counted() -> bool:
            figures = self.client.metrics.list_version_metrics(MODEL)
            return any(item.version == version and item.outcomes == self.sent[version] for item in figures)

        until(counted, f"the metrics service has counted {self.sent[version]} outcomes of version {version}")
        return self.client.metrics.get_version_metrics(MODEL, version)

    def _check_accuracy(self, version: int, floor: float) -> None:
        figures = self._figures(version)
        check(
            figures.correct == self.expected[version],
            f"the metrics service counts {figures.correct} right answers, the caller saw {self.expected[version]}",
        )
        self._say(f"live accuracy {figures.accuracy:.3f} over {figures.outcomes} labelled predictions")
        check(figures.accuracy >= floor, f"version {version} is below {floor}")

    def _send_until_worse(self, version: int, baseline: int, data: Digits) -> str:
        """Send labelled images until the metrics service is sure that the version is worse; returns a wrong answer."""
        wrong: tuple[str, int, int] | None = None
        for row in range(len(data.held_out_images)):
            answer = self._predict(version, data, row)
            if answer[1] != answer[2]:
                wrong = wrong or answer
            if (row + 1) % LOOK_EVERY:
                continue
            self._figures(version)
            found = self.client.metrics.compare_versions(MODEL, baseline, version)
            interval = found.accuracy_difference_interval
            self._say(
                f"after {row + 1} labels: accuracy {found.candidate.accuracy:.3f} against "
                f"{found.baseline.accuracy:.3f}, difference {found.accuracy_difference:+.3f} "
                f"(95 % interval {interval.low:+.3f} to {interval.high:+.3f})"
            )
            if interval.high < 0 and wrong is not None:
                self._say(
                    f"version {version} is worse; it said {wrong[1]} to a {wrong[2]}, for one",
                    style="bold red",
                )
                return wrong[0]
        raise DemoError(f"version {version} did not turn out to be worse")

    def _roll_back(self, expected: int) -> None:
        started = time.perf_counter()
        answer = self.client.rollback(MODEL, alias=ALIAS, reason="live accuracy fell")
        self._await_serving(expected)
        took = time.perf_counter() - started
        check(answer.alias.state.version == expected, f"rolled back to {answer.alias.state.version}")
        following = list(answer.alias.rollback_versions)
        check(following[:1] == [1], f"once more would give {following}")
        self._say(f"{ALIAS} is version {expected} again, {took * 1000:.0f} ms after the call; once more would give 1")

    def _trace(self, prediction_id: str, version: int) -> None:
        found = self.client.trace(prediction_id)
        check(found.version.version == version, f"the id names version {found.version.version}")
        check(len(found.promotions) == 1, f"{len(found.promotions)} alias moves are said to have been in force")
        event = found.promotions[0]
        stored = {file.path: self._stored_digest(file.digest) for file in found.version.files}
        check(
            all(stored[file.path] == file.digest for file in found.version.files),
            "the stored bytes do not have the digest that the version names",
        )
        for name, value in (
            ("prediction", prediction_id),
            ("model", f"{MODEL}, version {found.version.version} ({found.version.kind})"),
            ("digest", found.version.digest),
            *((path, f"{digest} (fetched and hashed now)") for path, digest in stored.items()),
            ("node", f"{found.node}, started {found.node_start_time.ToJsonString()}"),
            ("predicted", found.predict_time.ToJsonString()),
            ("promoted by", f"{event.actor.id} at {event.create_time.ToJsonString()}, revision {event.revision}"),
            ("because", event.reason),
        ):
            self._say(f"{name:<20} {value}")

    def _stored_digest(self, digest: str) -> str:
        content = hashlib.sha256()
        for chunk in self.client.registry.download_artifact(digest):
            content.update(chunk.data)
        return "sha256:" + content.hexdigest()

    def _table(self) -> None:
        table = Table()
        for name in ("version", "accuracy", "requests", "errors", "p50", "p99", "artifact"):
            table.add_column(name, justify="right", no_wrap=True)
        alias = self.client.registry.get_alias(MODEL, ALIAS)
        for figures in self.client.metrics.list_version_metrics(MODEL):
            check(
                figures.requests == self.sent[figures.version],
                f"requests of version {figures.version} are missing",
            )
            mark = " *" if figures.version == alias.state.version else "  "
            table.add_row(
                f"{figures.version}{mark}",
                f"{figures.accuracy:.3f}",
                str(figures.requests),
                str(figures.errors),
                f"{figures.latency_p50_seconds * 1e6:.0f} us",
                f"{figures.latency_p99_seconds * 1e6:.0f} us",
                f"{figures.size_bytes:,} B",
            )
        check(table.row_count == 3, f"the metrics service knows {table.row_count} versions")
        self.console.print(table)
        self._say(f"* is {ALIAS}; latency is the node's own, from a request's bytes to its answer's, within 1.1 %")

    def _heading(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/bold]")

    def _say(self, text: str, style: str = "") -> None:
        self.console.print("  " + text, style=style, highlight=False, soft_wrap=True)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )


def _signature() -> Any:
    from neuralmesh.registry.v1 import resources_pb2  # noqa: PLC0415 - grpc's experiments are set before protobuf loads

    spec = resources_pb2.TensorSpec
    return resources_pb2.Signature(
        inputs=[spec(name="input", datatype="FP32", shape=[-1, digits.FEATURES])],
        outputs=[
            spec(name="label", datatype="INT64", shape=[-1]),
            spec(name="scores", datatype="FP32", shape=[-1, digits.CLASSES]),
        ],
        label_output="label",
    )
