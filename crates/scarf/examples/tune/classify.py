"""Learns which of NEU-DET's six defects a photograph shows: a small network in PyTorch, to be tuned by `scarf tune`.

    python classify.py --data DIR/NEU-DET --lr 0.01 --optimizer sgd --momentum 0.9 --width 16 --dropout 0.1

Prints the accuracy on the validation images after each epoch. It knows nothing of scarf. Needs torch and pillow.
"""

import argparse
import pathlib

import torch
from PIL import Image
from torch import nn

CLASSES = ["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"]


def images(folder, numbers, size=40):
    """Gray images of these numbers, [images, 1, size, size] with mean 0, and their classes."""
    pixels, labels = [], []
    for label, name in enumerate(CLASSES):
        for number in numbers:
            image = Image.open(folder / "IMAGES" / f"{name}_{number}.jpg").convert("L").resize((size, size))
            pixels.append(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).float().view(1, size, size))
            labels.append(label)
    return torch.stack(pixels) / 128 - 1, torch.tensor(labels)


def network(width, dropout):
    def block(before, after):
        return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]

    blocks = block(1, width) + block(width, 2 * width) + block(2 * width, 4 * width)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(4 * width, len(CLASSES))]
    return nn.Sequential(*blocks, *head)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--optimizer", choices=["sgd", "adam"], required=True)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--dropout", type=float, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=pathlib.Path, help="the folder for the trained network")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    (x, y), (x_val, y_val) = images(args.data, range(1, 61)), images(args.data, range(201, 241))
    model = network(args.width, args.dropout)
    if args.optimizer == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), args.lr, momentum=args.momentum)
    else:
        optimizer = torch.optim.Adam(model.parameters(), args.lr)
    for epoch in range(1, args.epochs + 1):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(x)).split(30):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch) / len(x)
        model.eval()
        with torch.no_grad():
            accuracy = (model(x_val).argmax(1) == y_val).float().mean().item()
        print(f"epoch {epoch}: train_loss={total:.4f} val_accuracy={accuracy:.4f}", flush=True)
    if args.out:
        torch.save(model.state_dict(), args.out / "model.pt")


if __name__ == "__main__":
    main()
