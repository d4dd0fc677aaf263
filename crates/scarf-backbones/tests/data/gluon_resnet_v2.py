"""Writes FILE, safetensors: Gluon's resnet50_v2 and resnet18_v2 with weights and running statistics drawn from a seed
(under `50.` and `18.`, and Gluon's own names), an image, and what their stages make of it.

Python 3.8: pip install mxnet==1.9.1 'numpy<1.24' safetensors
    python crates/scarf-backbones/tests/data/gluon_resnet_v2.py FILE
"""

import sys

import mxnet as mx
import numpy as np
from mxnet.gluon.model_zoo import vision
from safetensors.numpy import save_file

rng = np.random.default_rng(7)
out = {"image": rng.normal(0, 1, (2, 3, 97, 130))}
for depth, make in ((50, vision.resnet50_v2), (18, vision.resnet18_v2)):
    net = make()
    net.initialize()
    x = mx.nd.array(out["image"])
    net(x)
    for name, parameter in net._collect_params_with_prefix().items():
        if name == "features.0.gamma" or name == "features.0.beta":
            continue  # never trained: 1 and 0
        if len(parameter.shape) > 1:
            value = rng.normal(0, np.sqrt(2 / np.prod(parameter.shape[1:])), parameter.shape)
        elif name.endswith(("gamma", "running_var")):
            value = rng.uniform(0.5, 1.5, parameter.shape)
        else:
            value = rng.normal(0, 0.2, parameter.shape)
        parameter.set_data(mx.nd.array(value))
    out.update({f"{depth}.{k}": p.data().asnumpy() for k, p in net._collect_params_with_prefix().items()})
    # Norm, convolution, norm, ReLU, pooling, then the stages.
    for at, layer in enumerate(list(net.features)[:9]):
        x = layer(x)
        if at >= 5:
            out[f"{depth}.map{at - 5}"] = x.asnumpy()
save_file({k: np.ascontiguousarray(v.astype("float32")) for k, v in out.items()}, sys.argv[1])
