"""Train the SimAM PreResNet-20 on scikit-learn's digits that the repository ships.

The 1,797 digits (8x8, 16 shades) are enlarged to 3x32x32 and normalised as CIFAR is, a fifth is
held out for testing, and the checkpoint is written in the layout of the authors' training script
({epoch, arch, state_dict, best_acc, optimizer}), in a folder whose name states lambda as theirs
do. Takes about ten minutes on two cores; the same seed gives the same network on one machine.
"""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from predict_digits import network_input
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS

NETWORK = NETWORKS["cifar_preresnet20"]
E_LAMBDA = 1e-4
FOLDER = f"digits-preresnet20-basic-simam-param{E_LAMBDA:.4f}"
BATCH, LEARNING_RATE = 64, 0.2


def split() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give training and test images (N, 3, 32, 32) float32, then their labels (N,) int64."""
    digits = load_digits()
    train, test, train_labels, test_labels = train_test_split(
        digits.images, digits.target, test_size=0.2, random_state=0, stratify=digits.target
    )
    mean, std = (NETWORK.family.preprocessing[k] for k in ("mean", "std"))
    images = (torch.from_numpy(network_input(part, mean, std)) for part in (train, test))
    return (*images, torch.from_numpy(train_labels), torch.from_numpy(test_labels))


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Give the share of images classified right, 0 to 1."""
    model.eval()
    with torch.inference_mode():
        return int((model(images).argmax(1) == labels).sum()) / len(labels)


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Move a batch by up to one digit pixel (4 of ours) each way, to see more than 1,437 images."""
    dy, dx = torch.randint(-4, 5, (2,), generator=generator).tolist()
    return torch.roll(images, (dy, dx), (2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path("examples") / FOLDER)
    args = parser.parse_args()

    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    images, test_images, labels, test_labels = split()
    model = create(NETWORK, E_LAMBDA, num_outputs=10)
    # Without momentum, whose buffers would double the file.
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, weight_decay=5e-4)
    steps = args.epochs * (len(images) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, steps, pct_start=0.1, div_factor=4, cycle_momentum=False
    )
    for epoch in range(args.epochs):
        model.train()
        for batch in torch.randperm(len(images), generator=generator).split(BATCH):
            logits = model(shifted(images[batch], generator))
            loss = nn.functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        reached = accuracy(model, test_images, test_labels)
        print(f"epoch {epoch + 1:2}: test accuracy {reached:.2%}", flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = {
        "epoch": args.epochs,
        "arch": "preresnet20",
        "state_dict": model.state_dict(),
        "best_acc": 100 * reached,
        "optimizer": optimizer.state_dict(),
    }
    torch.save(checkpoint, args.output / "model_best.pth.tar")
    print(args.output / "model_best.pth.tar")


if __name__ == "__main__":
    main()
