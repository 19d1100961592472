"""Generates everything that is generated and committed: Python stubs and the Open Inference Protocol descriptors.

`python tools/generate.py` writes into clients/python/src; `--check` writes into a temporary folder instead and fails
when a committed file differs. The stubs need no fix-ups because the proto package is the Python package. The Open
Inference Protocol is kept as a descriptor set, not as a module, so that `neuralmesh` can share a process with other
clients that register the package `inference` in protobuf's default pool.
"""

from __future__ import annotations

import argparse
import filecmp
import importlib.resources
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
OUTPUT = Path("clients/python/src")
DESCRIPTORS = OUTPUT / "neuralmesh" / "_oip" / "open_inference.binpb"


def run_protoc(*arguments: str) -> None:
    """Run protoc with the project's include paths; exits with its message when it fails."""
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    status = protoc.main(["protoc", f"-I{PROTOS}", f"-I{well_known}", *arguments])
    if status != 0:
        sys.exit(f"protoc failed with status {status}")


def generate(root: Path) -> list[Path]:
    """Generate all files below `root`; returns their paths relative to it."""
    output = root / OUTPUT
    (root / DESCRIPTORS).parent.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "neuralmesh").rglob("*.proto"))
    services = [source for source in sources if source.endswith("_service.proto")]
    run_protoc(f"--python_out={output}", f"--pyi_out={output}", *sources)
    run_protoc(f"--grpc_python_out={output}", *services)
    run_protoc(f"--descriptor_set_out={root / DESCRIPTORS}", "inference/open_inference.proto")
    made = [DESCRIPTORS]
    for source in sources:
        stem = OUTPUT / source.removesuffix(".proto")
        suffixes = ["_pb2.py", "_pb2.pyi"] + (["_pb2_grpc.py"] if source in services else [])
        made += [stem.with_name(stem.name + suffix) for suffix in suffixes]
    for source in sources:
        folder = OUTPUT / Path(source).parent
        for package in (folder, folder.parent):
            init = package / "__init__.py"
            if init not in made:
                (root / init).write_text('"""Generated stubs."""\n')
                made.append(init)
    return made


def main() -> None:
    """Write the generated files, or compare them with the committed ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if not parser.parse_args().check:
        generate(ROOT)
        return
    with tempfile.TemporaryDirectory() as folder:
        made = generate(Path(folder))
        stale = [
            str(path)
            for path in made
            if not (ROOT / path).exists() or not filecmp.cmp(ROOT / path, Path(folder) / path, shallow=False)
        ]
    if stale:
        sys.exit("not up to date, run `make generate`: " + ", ".join(stale))
    print(f"{len(made)} generated files are up to date")


if __name__ == "__main__":
    main()
