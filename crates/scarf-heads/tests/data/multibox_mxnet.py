"""Writes multibox_mxnet.safetensors: what MXNet's MultiBoxTarget, SoftmaxOutput and MakeLoss make of fixed predictions,
joined as in the SSD of MXNet's examples (symbol_builder.py, version 1.4.1).

Python 3.8: pip install mxnet==1.9.1 'numpy<1.24' safetensors
    python crates/scarf-heads/tests/data/multibox_mxnet.py
"""

import pathlib

import mxnet as mx
import numpy as np
from safetensors.numpy import save_file

CLASSES, SIDE = 3, 100
rng = np.random.RandomState(0)
levels = []
for cells, size in [(6, 0.15), (3, 0.35), (1, 0.8)]:
    feature = mx.nd.zeros((1, 1, cells, cells))
    levels.append(mx.nd.contrib.MultiBoxPrior(feature, sizes=(size,), ratios=(1, 2, 0.5)))
anchors = mx.nd.concat(*levels, dim=1)
count = anchors.shape[1]

# Rows of class and xyxy in fractions, -1 for none: four objects of which two want one anchor and one lies within
# several anchors alike; two objects; none.
labels = np.full((3, 4, 5), -1, np.float32)
labels[0] = [
    [0, 0.10, 0.12, 0.40, 0.44],
    [1, 0.12, 0.10, 0.41, 0.40],
    [2, 0.50, 0.55, 0.53, 0.58],
    [1, 0.05, 0.60, 0.95, 0.98],
]
labels[1, :2] = [[2, 0.62, 0.05, 0.80, 0.22], [0, 0.20, 0.20, 0.75, 0.90]]

logits = mx.nd.array(rng.normal(0, 2, (3, CLASSES + 1, count)))
deltas = mx.nd.array(rng.normal(0, 1, (3, count * 4)))
label = mx.nd.array(labels)
logits.attach_grad()
deltas.attach_grad()
with mx.autograd.record():
    wanted, mask, target = mx.nd.contrib.MultiBoxTarget(
        anchors, label, logits, overlap_threshold=0.5, ignore_label=-1, negative_mining_ratio=3,
        minimum_negative_samples=0, negative_mining_thresh=0.5, variances=(0.1, 0.1, 0.2, 0.2),
    )
    probabilities = mx.nd.SoftmaxOutput(
        logits, target, ignore_label=-1, use_ignore=True, grad_scale=1.0, multi_output=True, normalization="valid"
    )
    distance = mx.nd.smooth_l1(mask * (deltas - wanted), scalar=1.0)
    distance = mx.nd.MakeLoss(distance, grad_scale=1.0, normalization="valid")
mx.autograd.backward([probabilities, distance])

out = {
    "anchors": anchors[0].asnumpy() * SIDE,
    "labels": labels[:, :, 0],
    "boxes": np.maximum(labels[:, :, 1:] * SIDE, 0),
    "logits": logits.asnumpy().transpose(0, 2, 1),
    "deltas": deltas.asnumpy().reshape(3, count, 4),
    "target": target.asnumpy(),
    "logits_grad": logits.grad.asnumpy().transpose(0, 2, 1),
    "deltas_grad": deltas.grad.asnumpy().reshape(3, count, 4),
}
print({name: array.shape for name, array in out.items()}, [(target.asnumpy() == c).sum() for c in range(-1, 4)])
save_file(
    {name: np.ascontiguousarray(array, np.float32) for name, array in out.items()},
    str(pathlib.Path(__file__).with_suffix(".safetensors")),
)
