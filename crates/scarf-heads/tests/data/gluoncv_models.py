"""Writes into a folder what GluonCV's SSD makes of two images with weights drawn from a seed: for each model its
parameters as GluonCV saves them (`MODEL.params`), and in `MODEL.safetensors` the images, the targets, the anchors, the
raw outputs, the training targets, the loss and the detections. Without MODELs, all eight.

Python 3.8: pip install mxnet==1.9.1 gluoncv==0.10.5.post0 'numpy<1.24' safetensors
    python crates/scarf-heads/tests/data/gluoncv_models.py FOLDER [MODEL...]
"""

import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import gluoncv
import mxnet as mx
import numpy as np
from gluoncv.loss import SSDMultiBoxLoss
from gluoncv.model_zoo.ssd.target import SSDTargetGenerator
from safetensors.numpy import save_file

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
NAMES = [
    f"ssd_{base}_{data}"
    for base in ["300_vgg16_atrous", "512_vgg16_atrous", "512_resnet50_v1", "512_mobilenet1.0"]
    for data in ["voc", "coco"]
]
folder = Path(sys.argv[1])


def draw(net, rng):
    """Weights that keep a signal's size."""
    for name, parameter in net._collect_params_with_prefix().items():
        shape = parameter.shape
        if "anchor_generators" in name or name.endswith(("init_scale", "norm4.scale")):
            continue
        if len(shape) == 4:
            value = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith(("gamma", "running_var", "moving_var")):
            value = rng.uniform(0.7, 1.3, shape)
        else:
            value = rng.normal(0, 0.1, shape)
        parameter.set_data(mx.nd.array(value))


def take_statistics(net, x):
    """Running statistics near those of the batch, so that the signal keeps its size."""
    statistics = [p for n, p in net._collect_params_with_prefix().items() if n.endswith(("_mean", "_var"))]
    for _ in range(40 if statistics else 0):
        with mx.autograd.train_mode():
            net.features(x)
    mx.nd.waitall()
    for parameter in statistics:
        if parameter.name.endswith("_var"):
            value = parameter.data()
            parameter.set_data(value * 1.1 + 0.1 * value.mean())


def spread(net, x):
    """Predictors that answer every level with numbers around 1: scores that differ, boxes that can be."""
    for predictors in (net.class_predictors, net.box_predictors):
        for predictor, feature in zip(predictors, net.features(x)):
            weight = predictor.predictor.weight
            scale = 0.8 / float(np.std(predictor(feature).asnumpy()))
            weight.set_data(weight.data() * scale)


def pictures(rng, side):
    coarse = mx.nd.array(rng.uniform(0, 1, (2, 3, 12, 12)))
    images = mx.nd.contrib.BilinearResize2D(coarse, height=side, width=side)
    images = (images + mx.nd.array(rng.normal(0, 0.1, (2, 3, side, side)))).clip(0, 1)
    corner = rng.uniform(0, 0.5, (2, 3, 2)) * side
    boxes = np.concatenate([corner, corner + rng.uniform(0.08, 0.45, (2, 3, 2)) * side], 2)
    # Two objects that want the same anchors.
    boxes[1, 2] = boxes[1, 1] + rng.uniform(-0.01, 0.01, 4) * side
    return images, boxes, rng.integers(0, 20, (2, 3, 1))


def outputs(net, x):
    """Class and box predictions and anchors, by running statistics, which `net` gives in training alone."""
    features = net.features(x)

    def flat(predictors, width):
        rows = [p(f).transpose((0, 2, 3, 1)).reshape((0, -1)) for p, f in zip(predictors, features)]
        return mx.nd.concat(*rows, dim=1).reshape((0, -1, width))

    anchors = [g(f).reshape((1, -1)) for g, f in zip(net.anchor_generators, features)]
    anchors = mx.nd.concat(*anchors, dim=1).reshape((1, -1, 4))
    return flat(net.class_predictors, net.num_classes + 1), flat(net.box_predictors, 4), anchors


def compare(name, rng):
    net = gluoncv.model_zoo.get_model(name, pretrained=False, pretrained_base=False)
    net.initialize()
    side = int(name.split("_")[1])
    images, boxes, ids = pictures(rng, side)
    x = mx.nd.image.normalize(images, mean=MEAN, std=STD)
    net(x)
    draw(net, rng)
    take_statistics(net, x)
    spread(net, x)
    logits, deltas, anchors = outputs(net, x)
    generate = SSDTargetGenerator(negative_mining_ratio=-1)
    labels, targets, _ = generate(anchors, None, mx.nd.array(boxes), mx.nd.array(ids))
    total, classes, locations = SSDMultiBoxLoss()(logits, deltas, labels, targets)
    found = net(x)
    net.save_parameters(str(folder / f"{name}.params"))
    out = dict(images=images, boxes=mx.nd.array(boxes), ids=mx.nd.array(ids))
    out.update(anchors=anchors, logits=logits, deltas=deltas, labels=labels, targets=targets)
    out["losses"] = mx.nd.concat(classes[0].sum().reshape(1), locations[0].sum().reshape(1), dim=0)
    out.update(found_ids=found[0], found_scores=found[1], found_boxes=found[2])
    save_file({k: np.ascontiguousarray(v.asnumpy().astype("float32")) for k, v in out.items()}, folder / f"{name}.safetensors")


for name in sys.argv[2:] or NAMES:
    mx.random.seed(3)
    compare(name, np.random.default_rng(3))
