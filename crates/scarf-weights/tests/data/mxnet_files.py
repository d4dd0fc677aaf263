"""Writes files of MXNet, and what they hold as float32 in *.safetensors.

    python mxnet_files.py FOLDER            a small network in every version of the format
    python mxnet_files.py FOLDER --detector GluonCV's SSD 512 MobileNet with random weights

The small files beside this script were made so by MXNet 1.9.1 under Python 3.8. Versions 0 and 1,
which MXNet only reads by now, are written here by hand and read again by MXNet.
"""
import json
import os
import struct
import sys
import zipfile

import mxnet as mx
import numpy as np


def expect(arrays, path):
    """A safetensors file of float32."""
    header, data = {}, b""
    for name, array in arrays.items():
        values = array.asnumpy().astype("float32").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    header = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + data)


def old(arrays, version):
    """The bytes of a list of float32 arrays, as MXNet wrote them before 1.0."""
    out = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for array in arrays.values():
        if version == 1:
            out += struct.pack("<Ii%dq" % array.ndim, 0xF993FAC8, array.ndim, *array.shape)
        else:
            out += struct.pack("<I%dI" % array.ndim, array.ndim, *array.shape)
        out += struct.pack("<iii", 1, 0, 0) + array.asnumpy().tobytes()
    out += struct.pack("<Q", len(arrays))
    for name in arrays:
        out += struct.pack("<Q", len(name)) + name.encode()
    return out


def small(folder):
    mx.random.seed(0)
    net = mx.gluon.nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(mx.gluon.nn.Conv2D(2, 3, in_channels=3), mx.gluon.nn.BatchNorm(in_channels=2))
    net.initialize(mx.init.Xavier())
    net.hybridize()
    net(mx.nd.ones((1, 3, 4, 4)))
    net.save_parameters(os.path.join(folder, "gluon.params"))
    expect(mx.nd.load(os.path.join(folder, "gluon.params")), os.path.join(folder, "gluon.safetensors"))
    net.export(os.path.join(folder, "symbol"))
    os.remove(os.path.join(folder, "symbol-symbol.json"))
    os.rename(os.path.join(folder, "symbol-0000.params"), os.path.join(folder, "symbol.params"))

    with zipfile.ZipFile(os.path.join(folder, "gluon.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(os.path.join(folder, "symbol.params"), "symbol.params")

    values = np.arange(6).reshape(2, 3) - 2.5
    types = {name: mx.nd.array(values, dtype=name)
             for name in ["float32", "float64", "float16", "uint8", "int32", "int8", "int64"]
             if name != "uint8"}
    types["uint8"] = mx.nd.array(np.array([0, 7, 255]), dtype="uint8")
    mx.nd.save(os.path.join(folder, "types.params"), types)
    expect(types, os.path.join(folder, "types.safetensors"))

    arrays = {"a": mx.nd.array(values), "b": mx.nd.array([1.5])}
    expect(arrays, os.path.join(folder, "old.safetensors"))
    for version in (0, 1):
        path = os.path.join(folder, "version%d.params" % version)
        with open(path, "wb") as file:
            file.write(old(arrays, version))
        again = mx.nd.load(path)
        assert all((again[name].asnumpy() == arrays[name].asnumpy()).all() for name in arrays)

    mx.nd.save(os.path.join(folder, "sparse.params"), {"s": mx.nd.array(values).tostype("row_sparse")})
    mx.npx.set_np()
    arrays = {"a": mx.np.array(values), "scalar": mx.np.array(2.5)}
    mx.npx.save(os.path.join(folder, "version3.params"), arrays)
    expect(arrays, os.path.join(folder, "version3.safetensors"))


def detector(folder):
    import gluoncv
    net = gluoncv.model_zoo.get_model("ssd_512_mobilenet1.0_voc", pretrained=False, pretrained_base=False)
    net.initialize()
    net(mx.nd.zeros((1, 3, 128, 128)))
    net.save_parameters(os.path.join(folder, "detector.params"))
    expect(mx.nd.load(os.path.join(folder, "detector.params")), os.path.join(folder, "detector.safetensors"))


if __name__ == "__main__":
    (detector if "--detector" in sys.argv else small)(sys.argv[1])
