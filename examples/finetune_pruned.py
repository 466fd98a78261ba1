"""Prune a network with sparsepass, fine-tune it in PyTorch with its zeros, and optimize it.

python examples/finetune_pruned.py -o finetuned.sparse.onnx [--images FOLDER]

FOLDER has a folder of pictures for each of 10 classes; without it coloured stripes stand in.  Needs
the torch extra.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.utils import prune

import sparsepass

__all__ = ["classifier", "masks_of", "pictures", "stripes", "train"]

CLASSES = 10


def classifier() -> nn.Sequential:
    """A small convolutional network: (batch, 3, 32, 32) to 10 logits."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, padding=1, stride=2, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.Conv2d(64, 128, 3, padding=1, stride=2, bias=False), nn.BatchNorm2d(128), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES)),
    )


def stripes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of stripes, whose direction and colour are the class, in noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % CLASSES
    angle = labels * np.pi / CLASSES
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    wave = torch.sin(
        angle.cos()[:, None, None] * rows * 0.8 + angle.sin()[:, None, None] * columns * 0.8
    )
    colour = torch.stack([(labels % k == 0).float() + 0.5 for k in (2, 3, 5)], dim=1)
    noise = torch.randn(count, 3, 32, 32, generator=generator)
    return wave[:, None] * colour[:, :, None, None] + 0.7 * noise, labels


def pictures(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures of a folder of class folders, and their classes in alphabetical order."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [(path, names.index(name)) for name in names for path in (folder / name).iterdir()]
    arrays = [np.asarray(Image.open(path).convert("RGB").resize((32, 32))) for path, _ in files]
    values = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 127.5 - 1
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0))
    return values[order], torch.tensor([label for _, label in files])[order]


def train(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    """Some steps of Adam; masks of ``torch.nn.utils.prune`` stay in place."""
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = torch.randint(len(images), (64,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
    network.eval()


def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of right answers."""
    with torch.no_grad():
        return float((network(images).argmax(1) == labels).float().mean())


def masks_of(pruned: sparsepass.Pruned, network: nn.Module) -> dict[str, torch.Tensor]:
    """Ones where weights of ``network`` stay, by the names that file and module share."""
    values = pruned.model.graph.initializers.values()
    stored = {v.name: v.const_value.numpy() for v in values if v.const_value is not None}
    return {
        name: torch.from_numpy(stored[name] != 0).float()
        for name, value in network.named_parameters()
        if name in stored and value.ndim > 1
    }


def apply_masks(network: nn.Module, masks: dict[str, torch.Tensor]) -> None:
    """Hold weights at zero from now on."""
    for name, mask in masks.items():
        module = network.get_submodule(name.rpartition(".")[0])
        prune.custom_from_mask(module, "weight", mask)


def make_final(network: nn.Module) -> None:
    """Write the zeros into the weights and drop the masks."""
    for module in network.modules():
        if prune.is_pruned(module) and hasattr(module, "weight_mask"):
            prune.remove(module, "weight")


def main() -> None:
    """Train, prune, fine-tune, optimize."""
    parser = argparse.ArgumentParser(description="Prune, fine-tune and optimize a network.")
    parser.add_argument("-o", "--output", type=Path, default=Path("finetuned.sparse.onnx"))
    parser.add_argument("--images", type=Path, help="a folder of class folders")
    parser.add_argument("--sparsity", type=float, default=0.85)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()

    torch.manual_seed(0)
    images, labels = pictures(options.images) if options.images else stripes(600)
    seen, judged = slice(0, 2 * len(images) // 3), slice(2 * len(images) // 3, None)
    network = classifier()
    train(network, images[seen], labels[seen], 2 * options.steps)
    print(f"dense: {accuracy(network, images[judged], labels[judged]):.1%}")

    example = (images[:1],)
    samples = images[seen].numpy()
    pruned = sparsepass.prune(
        network, example_inputs=example, samples=samples, sparsity=options.sparsity
    )
    apply_masks(network, masks_of(pruned, network))
    train(network, images[seen], labels[seen], options.steps)
    make_final(network)
    right = accuracy(network, images[judged], labels[judged])
    print(f"{pruned.report.sparsity:.1%} zeros, fine-tuned: {right:.1%}")

    result = sparsepass.optimize(
        network, example_inputs=example, samples=samples, measure_seconds=5
    )
    result.save(options.output)
    for layer in result.report.layers:
        print(f"{layer.name}: {layer.weight_zeros:.0%} zeros, {layer.chosen.algorithm}")


if __name__ == "__main__":
    main()
