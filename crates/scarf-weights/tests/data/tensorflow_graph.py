"""Writes a frozen graph of TensorFlow, and what its constants of numbers hold as float32.

    python tensorflow_graph.py FOLDER

graph.pb and graph.safetensors beside this script were made so by TensorFlow 2.21.
"""
import sys

import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file

folder = sys.argv[1]
rng = np.random.default_rng(0)
v1 = tf.compat.v1
graph = tf.Graph()
with graph.as_default():
    images = v1.placeholder(tf.float32, [1, None, None, 3], "input")
    # As tf.contrib.slim named them.
    with tf.name_scope("Net/Conv2d_0"):
        kernel = tf.identity(tf.constant(rng.normal(size=(3, 3, 3, 4)).astype("float32"), name="weights"), "weights/read")
        features = tf.nn.conv2d(images, kernel, 2, "SAME")
        scale = tf.constant(rng.normal(size=4).astype("float32"), name="BatchNorm/gamma")
        # Equal numbers are stored once.
        zeros = tf.constant(0.0, shape=[4], name="BatchNorm/moving_mean")
        features = tf.nn.relu6((features - zeros) * scale)
    tf.reshape(features, tf.constant([-1, 16], name="shape"), "output")
    for name in ["float64", "float16", "int32", "int64", "uint8", "int8", "int16", "bool"]:
        tf.constant(rng.integers(0, 2, size=(2, 3)).astype(name), name=f"types/{name}")
    tf.constant(rng.normal(size=(2, 3)), tf.bfloat16, name="types/bfloat16")
    tf.constant(0.25, name="types/scalar")
    tf.constant(1e-3, tf.float64, name="types/double")
    tf.constant(np.zeros((0, 4), "float32"), name="types/empty")
    tf.constant("a text", name="types/text")
    tf.constant(7, name="types/one")

definition = graph.as_graph_def()
with open(f"{folder}/graph.pb", "wb") as file:
    file.write(definition.SerializeToString())

# What TensorFlow itself reads from that file.
definition = v1.GraphDef.FromString(open(f"{folder}/graph.pb", "rb").read())
held = {}
for node in definition.node:
    # Texts, truths, and one whole number or several that are equal, are left out.
    if node.op == "Const" and node.name not in ["types/text", "types/one", "types/bool"]:
        held[node.name] = np.array(tf.make_ndarray(node.attr["value"].tensor)).astype("float32")
save_file(held, f"{folder}/graph.safetensors")
print({name: array.shape for name, array in held.items()})
