"""Writes files of torch.save, and what they hold as float32 in expected.safetensors.

    python pytorch.py FOLDER            a small state dict in both forms, and checkpoints
    python pytorch.py FOLDER --detector torchvision's SSDlite with random weights, in both forms
    python pytorch.py FOLDER --check    whether torchvision takes single.safetensors and half.safetensors

The small files beside this script were made so by PyTorch 2.15. The same script under Python 2.7
and PyTorch 1.0 (which knows neither bfloat16, bool nor safetensors) wrote python2.pth, and
parameters.pth, whose tensors are pickled as PyTorch 0.1 pickled parameters.
"""
from __future__ import print_function
import os
import sys
from collections import OrderedDict

import torch


def small():
    """One tensor of each type, and each way to lie in a storage."""
    floats = torch.arange(24, dtype=torch.float32) / 7 - 1
    state = OrderedDict()
    state["conv.weight"] = floats.reshape(2, 3, 2, 2)
    state["transposed"] = floats.reshape(4, 6).t()
    state["slice"] = floats.reshape(4, 6)[1:3, 2:5]
    state["channels.last"] = floats.reshape(1, 4, 2, 3).permute(0, 3, 1, 2)
    state["shared"] = floats[6:12]
    state["half"] = floats[:5].half()
    state["double"] = floats[:5].double() / 3
    state["bn.num_batches_tracked"] = torch.tensor(1234567)
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.zeros(0, 3)
    state["byte"] = torch.tensor([0, 7, 255], dtype=torch.uint8)
    state["int"] = torch.tensor([-3, 1 << 20], dtype=torch.int32)
    if hasattr(torch, "bfloat16"):
        state["bfloat"] = floats[:5].bfloat16()
        state["bool"] = torch.tensor([True, False])
        state["expanded"] = floats[3:5].expand(3, 2)
        state["parameter"] = torch.nn.Parameter(floats[:4])
    return state


class OldTensor(object):
    """A tensor that is pickled as by PyTorch 0.1."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        tensor = self.tensor
        parts = (tensor.storage(), tensor.storage_offset(), tuple(tensor.size()), tensor.stride())
        return torch._utils._rebuild_tensor, parts


class OldParameter(OldTensor):
    """A parameter of it: its class is called, and then told its state."""

    def __reduce__(self):
        return torch.nn.Parameter, (OldTensor(self.tensor),), (True, False, OrderedDict())


def both(state, folder, name):
    torch.save(state, os.path.join(folder, name + ".zip.pth"), _use_new_zipfile_serialization=True)
    torch.save(state, os.path.join(folder, name + ".legacy.pth"), _use_new_zipfile_serialization=False)


def expect(state, folder, name):
    from safetensors.torch import save_file
    tensors = {key: value.detach().float().contiguous().clone() for key, value in state.items()}
    save_file(tensors, os.path.join(folder, name + ".safetensors"))


def check(folder):
    """Loads our files of the detector, and compares every number with PyTorch's own."""
    import torchvision
    from safetensors.torch import load_file
    state = torch.load(os.path.join(folder, "detector.zip.pth"))
    for name in ("single", "half"):
        ours = load_file(os.path.join(folder, name + ".safetensors"))
        model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None)
        model.load_state_dict(ours)
        for key, value in model.state_dict().items():
            halved = name == "half" and state[key].dim() >= 2
            expected = state[key].half().float() if halved else state[key]
            assert torch.equal(value, expected), (name, key)


def main(folder, detector):
    torch.manual_seed(0)
    if sys.version_info[0] == 2:
        torch.save(small(), os.path.join(folder, "python2.pth"))
        old = OrderedDict((name, OldParameter(tensor)) for name, tensor in small().items())
        torch.save(old, os.path.join(folder, "parameters.pth"))
    elif detector:
        import torchvision
        model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None)
        both(model.state_dict(), folder, "detector")
        expect(model.state_dict(), folder, "detector")
    else:
        import argparse
        both(small(), folder, "state")
        expect(small(), folder, "state")
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
        checkpoint = {"model": small(), "optimizer": optimizer.state_dict(), "epoch": 7,
                      "args": argparse.Namespace(lr=0.1)}
        torch.save(checkpoint, os.path.join(folder, "checkpoint.pth"))
        torch.save(small(), os.path.join(folder, "protocol4.pth"), pickle_protocol=4)
        torch.save(torch.nn.Linear(1, 1), os.path.join(folder, "module.pth"))


if __name__ == "__main__":
    if "--check" in sys.argv:
        check(sys.argv[1])
    else:
        main(sys.argv[1], "--detector" in sys.argv)
