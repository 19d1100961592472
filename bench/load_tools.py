"""The three load tools of clients/load against one node, one after the other: what each sees and how far it reaches.

`make bench-load`. It demands nothing and compares nothing; the tools' own checks must pass.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neuralmesh_server.runtime import transport

transport.configure()

import numpy as np  # noqa: E402 - the transport is configured before grpc is imported

from bench.processes import ROOT  # noqa: E402
from bench.setting import Setting  # noqa: E402

RECIPES = ROOT / "clients" / "load"
RATE, SECONDS = 1_000, 3
REQUESTS = 20_000


def main() -> None:
    """Serve the packed network and run the tools."""
    with tempfile.TemporaryDirectory(prefix="nm-load-") as name:
        setting = Setting(Path(name), quick=False, say=print)
        with setting.stack:
            setting.served_packed()
            address = setting.suite.addresses["inference"]
            rows, folder = setting.folder / "rows.npy", setting.folder / "request"
            np.save(rows, setting.models.data.held_out_images)
            program = [sys.executable, "-m", "neuralmesh_server", "load", "packed", "--inference", address]
            program += ["--data", str(rows), "--duration", str(SECONDS)]
            show([*program, "--rate", str(RATE)])
            show([*program, "--clients", "16"])
            show([sys.executable, str(RECIPES / "request.py"), address, "packed", str(folder)])
            for recipe, more in (("ghz.sh", ["--connections", "16"]), ("h2load.sh", [])):
                show(["bash", str(RECIPES / recipe), address, str(folder), "-n", str(REQUESTS), "-c", "16", *more])


def show(command: list[str]) -> None:
    """Run a command, with its output under its line."""
    print(f"\n$ {' '.join(command)}", flush=True)
    path = f"{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    main()
