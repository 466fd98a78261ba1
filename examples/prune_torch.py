"""Prune a PyTorch network, optimize it, and run the result.  Needs the torch extra.

python examples/prune_torch.py -o pruned.sparse.onnx
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune

import sparsepass
from sparsepass import runtime

__all__ = ["classifier", "largest_difference", "prune_convolutions"]


def classifier() -> nn.Sequential:
    """A small convolutional network: (batch, 3, 32, 32) to 10 logits."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, padding=1, stride=2), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.Conv2d(64, 128, 1), nn.BatchNorm2d(128), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)),
    )


def prune_convolutions(network: nn.Module, amount: float) -> None:
    """Zero the smallest ``amount`` of each convolution's weights, but for the first one's."""
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for module in convolutions[1:]:
        prune.l1_unstructured(module, "weight", amount=amount)
        # A real network is fine-tuned here, with the masks in place, before they are made final.
        prune.remove(module, "weight")


def largest_difference(network: nn.Module, path: Path, image: torch.Tensor) -> float:
    """The largest difference between the outputs of ``network`` and of the optimized file."""
    session = runtime.session(path, threads=1)
    (name,) = [value.name for value in session.get_inputs()]
    (logits,) = session.run(None, {name: image.numpy()})
    with torch.no_grad():
        expected = network(image).numpy()
    return float(np.abs(logits - expected).max())


def main() -> None:
    """Prune, optimize, save, compare."""
    parser = argparse.ArgumentParser(description="Prune and optimize a small PyTorch network.")
    parser.add_argument("-o", "--output", type=Path, default=Path("pruned.sparse.onnx"))
    parser.add_argument("--amount", type=float, default=0.9, help="share of weights to zero")
    options = parser.parse_args()

    torch.manual_seed(0)
    network = classifier().eval()
    prune_convolutions(network, options.amount)
    image = torch.randn(1, 3, 32, 32)

    result = sparsepass.optimize(network, example_inputs=(image,), threads=1)
    result.save(options.output)

    for choice in result.plan.choices:
        print(f"{choice.layer}: {choice.algorithm}")
    difference = largest_difference(network, options.output, image)
    print(f"largest difference to PyTorch: {difference:.2g}")


if __name__ == "__main__":
    main()
