"""Writes into a folder what torchvision's SSD300 and SSDLite320 make of two images with weights drawn from a seed:
one safetensors file a model, its state_dict (running statistics drawn too) under `model.`, and beside it images,
targets, anchors, the head's raw outputs, losses, detections, and for SSD300 the weights after one step of SGD.

    pip install torch torchvision safetensors
    python crates/scarf-heads/tests/data/torchvision_models.py FOLDER
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.models.detection import ssd300_vgg16, ssdlite320_mobilenet_v3_large
from torchvision.ops import box_iou

CLASSES = 7  # background and six
folder = Path(sys.argv[1])


def randomize(model, lite):
    """Weights under which the images show in the scores, which torchvision's own do not give."""
    for name, value in model.state_dict().items():
        if value.dim() == 1 and name.endswith("bias"):
            value.normal_(0, 0.1)
        elif value.dim() == 1 and name.endswith(".1.weight"):
            value.uniform_(0.5, 1.5)
        elif value.dim() == 4 and lite and not name.startswith("backbone.features"):
            torch.nn.init.kaiming_normal_(value)
            value *= 0.2 if name.startswith("head.") and name.endswith(".1.weight") else 1
        elif value.dim() == 4 and name.startswith("head."):
            value *= 0.1


def take_statistics(model, batch):
    """Running statistics near those of the batch."""
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    model.train()
    for norm in norms:
        norm.momentum = 1.0
    model.head(list(model.backbone(batch).values()))
    for norm in norms:
        norm.momentum = 0.03
        norm.running_mean += 0.1 * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.3)
        # On maps of one cell two numbers may be as good as equal.
        norm.running_var += 0.2 * norm.running_var.mean()
    model.eval()


def pictures(side):
    """Smooth noise, and boxes of several sizes."""
    coarse = torch.rand(2, 3, 12, 12)
    images = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    images = (images + 0.1 * torch.randn_like(images)).clamp(0, 1)
    targets = []
    for count in (3, 1):
        corner = torch.rand(count, 2) * side * 0.6
        size = (0.1 + 0.3 * torch.rand(count, 2)) * side
        boxes = torch.cat([corner, corner + size], 1)
        targets.append({"boxes": boxes, "labels": torch.randint(1, CLASSES, (count,))})
    return images, targets


def compare(name, model, side):
    randomize(model, name.startswith("ssdlite"))
    images, targets = pictures(side)
    batch, _ = model.transform(list(images))
    with torch.no_grad():
        take_statistics(model, batch.tensors)
    out = {f"model.{k}": v.clone() for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    out["images"] = images
    for at, target in enumerate(targets):
        out |= {f"boxes{at}": target["boxes"], f"labels{at}": target["labels"].float()}
    # In evaluation, so that norms use their running statistics: forward by hand.
    with torch.no_grad():
        features = list(model.backbone(batch.tensors).values())
        raw = model.head(features)
        anchors = model.anchor_generator(batch, features)
        matched = [
            model.proposal_matcher(box_iou(target["boxes"], anchor)) for target, anchor in zip(targets, anchors)
        ]
        losses = model.compute_loss(targets, raw, anchors, matched)
        found = model(list(images))
    out |= {"logits": raw["cls_logits"], "deltas": raw["bbox_regression"], "anchors": anchors[0]}
    out["losses"] = torch.stack([losses["classification"], losses["bbox_regression"]])
    for at, image in enumerate(found):
        out |= {f"found_{key}{at}": value.float() for key, value in image.items()}
    save_file({k: v.contiguous() for k, v in out.items()}, folder / f"{name}.safetensors")
    return images, targets


def step(model, images, targets):
    """The weights after one step in training, and its losses."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    losses = model(list(images), targets)
    optimizer.zero_grad()
    sum(losses.values()).backward()
    optimizer.step()
    save_file({k: v.detach().contiguous() for k, v in model.state_dict().items()}, folder / "ssd300_stepped.safetensors")


torch.manual_seed(5)
compare("ssdlite320", ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES), 320)
# Five: none of the backbone is frozen.
ssd = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=CLASSES, trainable_backbone_layers=5)
images, targets = compare("ssd300", ssd, 300)
step(ssd, images, targets)
