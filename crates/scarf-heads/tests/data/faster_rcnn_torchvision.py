"""Writes faster_rcnn_torchvision.safetensors beside this file: torchvision's Faster R-CNN with FPN on a
ResNet-18 with weights by formula: features, proposals, detections, losses, and one step of SGD.

    pip install torch torchvision safetensors
    python crates/scarf-heads/tests/data/faster_rcnn_torchvision.py
"""

import json
from pathlib import Path

import torch
import torchvision
from formula import fill, image
from safetensors.torch import save_file
from torchvision.models.detection import FasterRCNN, _utils
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import FrozenBatchNorm2d

SIDE = 128
CLASSES = 7
SAMPLES = 16  # values of each parameter that the step is told by

# The first ones in place of a random choice; the tests do the same with a generator of zeros.
_utils.torch.randperm = lambda count, device=None: torch.arange(count, device=device)

backbone = resnet_fpn_backbone(
    backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=FrozenBatchNorm2d
)
model = FasterRCNN(
    backbone,
    box_head=TwoMLPHead(256 * 7 * 7, 64),
    box_predictor=FastRCNNPredictor(64, CLASSES),
    min_size=SIDE,
    max_size=SIDE,
    rpn_anchor_generator=torchvision.models.detection.anchor_utils.AnchorGenerator(
        ((8,), (16,), (32,), (64,), (128,)), ((0.5, 1.0, 2.0),) * 5
    ),
)
fill(model)
pixels = torch.stack([image(f"image{i}", SIDE) for i in range(3)])
boxes = [
    torch.tensor([[10.0, 12.0, 60.0, 40.0], [50.0, 50.0, 62.0, 120.0], [100.0, 5.0, 110.0, 14.0]]),
    torch.tensor([[5.0, 5.0, 120.0, 122.0]]),
    torch.zeros(0, 4),
]
labels = [torch.tensor([1, 6, 3]), torch.tensor([2]), torch.zeros(0, dtype=torch.int64)]
targets = [{"boxes": b, "labels": l} for b, l in zip(boxes, labels)]

kept = {}
model.eval()
with torch.no_grad():
    inputs, _ = model.transform(list(pixels / 255))
    features = model.backbone(inputs.tensors)
    anchors = model.rpn.anchor_generator(inputs, list(features.values()))
    objectness, deltas = model.rpn.head(list(features.values()))
    objectness, deltas = concat_box_prediction_layers(objectness, deltas)
    proposals, _ = model.rpn(inputs, features)
    bins = model.roi_heads.box_roi_pool(features, proposals, inputs.image_sizes)
    logits, places = model.roi_heads.box_predictor(model.roi_heads.box_head(bins))
    found = model(list(pixels / 255))
kept["anchors"] = anchors[0]
kept["objectness"] = objectness.reshape(3, -1)[0]
kept["deltas"] = deltas.reshape(3, -1, 4)[0]
for level, feature in enumerate(features.values()):
    kept[f"level{level}_mean"] = feature.mean(dim=(2, 3))
kept["proposal_counts"] = torch.tensor([float(len(p)) for p in proposals])
kept["proposals"] = proposals[0][:300]
kept["logits"] = logits[:200]
kept["places"] = places[:200]
for i, own in enumerate(found):
    for key in ("boxes", "scores", "labels"):
        kept[f"found_{key}{i}"] = own[key].float()
    print("image", i, "proposals", len(proposals[i]), "detections", len(own["boxes"]))

model.train()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
before = {name: value.detach().clone() for name, value in model.named_parameters()}
losses = model(list(pixels / 255), targets)
names = ["loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"]
kept["losses"] = torch.stack([losses[name].detach() for name in names])
print({name: losses[name].item() for name in names})
sum(losses.values()).backward()
optimizer.step()
for name, value in model.named_parameters():
    moved = (value.detach() - before[name]).flatten()
    stride = max(1, moved.numel() // SAMPLES)
    kept[f"step.{name}"] = moved[::stride][:SAMPLES]
for i, (b, l) in enumerate(zip(boxes, labels)):
    kept[f"target_boxes{i}"], kept[f"target_labels{i}"] = b, l.float()

path = Path(__file__).with_suffix(".safetensors")
shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
header = {"torchvision": torchvision.__version__, "shapes": json.dumps(shapes)}
save_file({k: v.contiguous().clone() for k, v in kept.items()}, path, header)
print(path, path.stat().st_size, "bytes, by torchvision", torchvision.__version__)
