"""Writes FILE, safetensors: the anchors that MXNet's MultiBoxPrior lays over the maps of the SSD of its examples, in
fractions of the image, xyxy, one tensor a model.

Python 3.8: pip install mxnet==1.9.1 'numpy<1.24' safetensors
    python crates/scarf-heads/tests/data/mxnet_priors.py FILE
"""

import sys

import mxnet as mx
from safetensors.numpy import save_file

THREE, FIVE = [1, 2, 0.5], [1, 2, 0.5, 3, 1 / 3]
SIZES = [[0.1, 0.141], [0.2, 0.272], [0.37, 0.447], [0.54, 0.619], [0.71, 0.79], [0.88, 0.961]]
RATIOS = [THREE, FIVE, FIVE, FIVE, THREE, THREE]
LARGE = [[0.07, 0.1025], [0.15, 0.2121], [0.3, 0.3674], [0.45, 0.5196], [0.6, 0.6708], [0.75, 0.8216], [0.9, 0.9721]]
# Name, maps, sizes, ratios, steps in pixels, the image's side.
CASES = [
    ("mxnet-ssd-300-vgg16", [38, 19, 10, 5, 3, 1], SIZES, RATIOS, [8, 16, 32, 64, 100, 300], 300),
    (
        "mxnet-ssd-512-vgg16",
        [64, 32, 16, 8, 4, 2, 2],
        LARGE,
        [THREE, FIVE, FIVE, FIVE, FIVE, THREE, THREE],
        [8, 16, 32, 64, 128, 256, 512],
        512,
    ),
    ("mxnet-ssd-300-resnet50", [19, 10, 5, 3, 2, 1], SIZES, RATIOS, None, 300),
    ("mxnet-ssd-512-resnet50", [32, 16, 8, 4, 2, 1], SIZES, RATIOS, None, 512),
]

out = {}
for name, maps, sizes, ratios, steps, side in CASES:
    levels = []
    for at, cells in enumerate(maps):
        step = steps[at] / side if steps else -1.0
        feature = mx.nd.zeros((1, 1, cells, cells))
        levels.append(mx.nd.contrib.MultiBoxPrior(feature, sizes=sizes[at], ratios=ratios[at], steps=(step, step)))
    out[name] = mx.nd.concat(*levels, dim=1)[0].asnumpy()
save_file(out, sys.argv[1])
