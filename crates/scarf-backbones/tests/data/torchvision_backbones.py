"""Writes one safetensors file a backbone into a folder: torchvision's network with weights drawn from a seed,
running statistics among them, an image, and the maps that it makes of it.

    pip install torch torchvision safetensors
    python crates/scarf-backbones/tests/data/torchvision_backbones.py FOLDER
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

RESNET = [f"layer{stage}" for stage in range(1, 5)]
# Name, network, its layers in the order of our levels, rows and columns.
CASES = [
    ("mobilenet_v3", models.mobilenet_v3_large(), ["features.6", "features.13.block.0", "features.16"], (97, 130)),
    (
        "mobilenet_v3_reduced",
        models.mobilenet_v3_large(reduced_tail=True),
        ["features.13.block.0", "features.15", "features.16"],
        (97, 130),
    ),
    ("mobilenet_v2", models.mobilenet_v2(), ["features.14.conv.0", "features.18"], (97, 130)),
    ("resnet18", models.resnet18(), RESNET, (97, 130)),
    ("resnet34", models.resnet34(), RESNET, (97, 130)),
    ("resnet50_v1.5", models.resnet50(), RESNET, (97, 130)),
    ("resnet101_v1.5", models.resnet101(), RESNET, (65, 66)),
    # Ours rounds sizes up after each pooling, as SSD does: even ones are the same.
    ("vgg16_bn", models.vgg16_bn(), ["features.12", "features.32", "features.42"], (64, 96)),
]


def randomize(model):
    """Statistics that an identity would not survive."""
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.2)
        elif name.endswith("running_var") or (name.endswith("weight") and value.dim() == 1):
            value.uniform_(0.5, 1.5)
        elif value.dim() == 1 and name.endswith("bias"):
            value.normal_(0, 0.1)


folder = Path(sys.argv[1])
torch.manual_seed(11)
for name, model, layers, (rows, columns) in CASES:
    model.eval()
    randomize(model)
    image = torch.randn(2, 3, rows, columns)
    with torch.no_grad():
        maps = create_feature_extractor(model, {layer: str(at) for at, layer in enumerate(layers)})(image)
    tensors = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    tensors |= {f"map{at}": maps[str(at)] for at in range(len(layers))} | {"image": image}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / f"{name}.safetensors")
