"""Makes the models of this folder: a network trained on the handwritten digits with Brevitas, exported by Brevitas.

    python -m venv torch && torch/bin/pip install brevitas==0.13.4 torch==2.15.0 onnx==1.23.2 onnxoptimizer scikit-learn
    torch/bin/python tests/qonnx/brevitas/export.py

Brevitas and PyTorch are not among the test's dependencies, being several gigabytes; so what they write is kept. `dynamo`
is the exporter that PyTorch takes by itself since 2.9, `torchscript` the one before it. What is taken out of the files is
PyTorch's record of where in which source files a node comes from.
"""

from itertools import pairwise
from pathlib import Path

import onnx
import torch
from brevitas.export import export_qonnx
from brevitas.nn import QuantIdentity, QuantLinear
from brevitas.quant.binary import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst
from sklearn.datasets import load_digits
from torch import nn

WIDTHS = (64, 96, 33, 10)
HERE = Path(__file__).parent


class Signs(SignedBinaryActPerTensorConst):
    """Activations of +1 and -1; Brevitas' own are of 0.1."""

    scaling_const = 1.0
    min_val, max_val = -1.0, 1.0


class SignWeights(SignedBinaryWeightPerTensorConst):
    """Weights of +1 and -1."""

    scaling_const = 1.0


class Centred(nn.Module):
    """Pixels from 0 to 16 become numbers from -1 to 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 8.0 - 1.0


def network() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten(), Centred()]
    for inputs, outputs in pairwise(WIDTHS):
        layers += [QuantIdentity(act_quant=Signs), QuantLinear(inputs, outputs, bias=False, weight_quant=SignWeights)]
        layers += [nn.BatchNorm1d(outputs)]
    made = nn.Sequential(*layers)
    for module in made.modules():
        if isinstance(module, QuantLinear):
            nn.init.uniform_(module.weight, -1, 1)
        if isinstance(module, nn.BatchNorm1d):  # gammas of both signs
            module.weight.data = torch.where(torch.rand_like(module.weight) < 0.5, -1.0, 1.0)
    return made


def train(made: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(made.parameters(), lr=0.01)
    for _ in range(60):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(made(images[rows]), labels[rows]).backward()
            optimizer.step()
            for module in made.modules():
                if isinstance(module, QuantLinear):
                    module.weight.data.clamp_(-1, 1)


def export(made: nn.Sequential, path: Path, *, dynamo: bool) -> None:
    example = torch.zeros(2, 1, 8, 8)
    if dynamo:
        export_qonnx(made, args=example, export_path=str(path), dynamo=True, dynamic_shapes=({0: "rows"},))
    else:
        names = {"input_names": ["images"], "output_names": ["scores"], "dynamic_axes": {"images": {0: "rows"}}}
        export_qonnx(made, args=example, export_path=str(path), dynamo=False, **names)
    model = onnx.load(path)
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)
    Path(f"{path}.data").unlink(missing_ok=True)  # PyTorch's own file, before Brevitas took the weights in


def main() -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    pixels, targets = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(labels)
    made = network()
    train(made, pixels[1000:], targets[1000:])
    made.eval()
    right = (made(pixels[:1000]).argmax(dim=1) == targets[:1000]).float().mean()
    print(f"{right:.3f} of the first 1,000 digits, which it was not trained on")  # noqa: T201 - what the script says
    export(made, HERE / "dynamo.onnx", dynamo=True)
    export(made, HERE / "torchscript.onnx", dynamo=False)


if __name__ == "__main__":
    main()
