"""Writes ssd_torchvision.safetensors beside this file: torchvision's SSD on fixed tensors.

    pip install torch torchvision safetensors
    python crates/scarf-heads/tests/data/ssd_torchvision.py
"""

from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD, SSDHead

CLASSES = 7  # background and six
SIDE = 300
MAPS = [10, 5, 3, 1]

torch.manual_seed(7)
generator = DefaultBoxGenerator(
    [[2], [2, 3], [2, 3], [2]], scales=[0.1, 0.3, 0.5, 0.8, 1.05], steps=[30, 60, 100, 300]
)


class Features(torch.nn.Module):
    """A stand-in: the tests give the head's outputs themselves."""

    out_channels = [4] * len(MAPS)


model = SSD(
    Features(),
    generator,
    (SIDE, SIDE),
    CLASSES,
    head=SSDHead([4] * len(MAPS), generator.num_anchors_per_location(), CLASSES),
)
model.eval()

features = [torch.zeros(2, 4, side, side) for side in MAPS]
images = ImageList(torch.zeros(2, 3, SIDE, SIDE), [(SIDE, SIDE)] * 2)
anchors = generator(images, features)
count = anchors[0].shape[0]

boxes = [
    torch.tensor(
        [
            [12.0, 20.0, 100.0, 90.0],
            [150.0, 10.0, 170.0, 290.0],
            [149.0, 12.0, 171.0, 288.0],
            [200.0, 200.0, 290.0, 260.0],
        ]
    ),
    torch.tensor([[5.0, 5.0, 295.0, 295.0]]),
]
labels = [torch.tensor([1, 6, 6, 3]), torch.tensor([2])]
targets = [{"boxes": b, "labels": l} for b, l in zip(boxes, labels)]

logits = torch.randn(2, count, CLASSES) * 1.5
deltas = torch.randn(2, count, 4)
# Sharper on the objects, so that suppression has work to do.
matched = []
for image, (anchor, target) in enumerate(zip(anchors, targets)):
    quality = torchvision.ops.box_iou(target["boxes"], anchor)
    index = model.proposal_matcher(quality)
    matched.append(index)
    for at in torch.where(index >= 0)[0]:
        logits[image, at, target["labels"][index[at]]] += 4.0
        wanted = model.box_coder.encode_single(target["boxes"][index[at]][None], anchor[at][None])[0]
        deltas[image, at] = wanted + 0.3 * deltas[image, at]

logits.requires_grad_(True)
deltas.requires_grad_(True)
outputs = {"cls_logits": logits, "bbox_regression": deltas}
losses = model.compute_loss(targets, outputs, anchors, matched)
(losses["classification"] + losses["bbox_regression"]).backward()
encoded = model.box_coder.encode_single(boxes[0][:1].expand(count, 4), anchors[0])
decoded = model.box_coder.decode_single(deltas[0].detach(), anchors[0])
with torch.no_grad():
    found = model.postprocess_detections(outputs, anchors, images.image_sizes)

tensors = {
    "anchors": anchors[0],
    "logits": logits.detach(),
    "deltas": deltas.detach(),
    "losses": torch.stack([losses["classification"], losses["bbox_regression"]]).detach(),
    "logits_gradient": logits.grad,
    "deltas_gradient": deltas.grad,
    "encoded": encoded,
    "decoded": decoded,
}
for image in range(2):
    tensors[f"matched{image}"] = matched[image].float()
    tensors[f"target_boxes{image}"] = boxes[image]
    tensors[f"target_labels{image}"] = labels[image].float()
    for key in ("boxes", "scores", "labels"):
        tensors[f"found_{key}{image}"] = found[image][key].float()

path = Path(__file__).with_suffix(".safetensors")
save_file({k: v.contiguous() for k, v in tensors.items()}, path, {"torchvision": torchvision.__version__})
print(path, "by torchvision", torchvision.__version__, {k: tuple(v.shape) for k, v in tensors.items()})
