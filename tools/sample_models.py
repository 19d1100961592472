"""Writes two small models of the handwritten digits and a few rows for them, for the tour in README.md.

`python tools/sample_models.py FOLDER` makes mlp.onnx, bits.safetensors and rows.npy, the models that the demo trains.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from neuralmesh_server.demo import digits

ROWS = 5


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    data = digits.load()
    digits.write_mlp(data, folder / "mlp.onnx")
    network = digits.train_network(data, lambda done, of: print(f"\rtraining bits {done}/{of}", end="", flush=True))
    digits.write_network(network, folder / "bits.safetensors")
    np.save(folder / "rows.npy", data.held_out_images[:ROWS])
    print(
        f"\rwrote mlp.onnx, bits.safetensors and {ROWS} rows; their digits are {data.held_out_labels[:ROWS].tolist()}"
    )


if __name__ == "__main__":
    main()
