"""Runs ONNX files with onnxruntime: `run_onnx.py JOBS`.

JOBS is a JSON list of {"model": path, "input": path of raw f32, "shape": [batch, 3, rows, columns]}. Each model
must pass the checker of onnx, shapes inferred and compared. Writes MODEL.NAME.bin for each output and prints, a line
a job, {"outputs": {NAME: {"shape": [..], "type": ".."}}, "metadata": {..}}.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime

onnxruntime.set_default_logger_severity(3)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
for job in json.load(open(sys.argv[1])):
    onnx.checker.check_model(onnx.load(job["model"]), full_check=True)
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    images = np.fromfile(job["input"], np.float32).reshape(job["shape"])
    names = [output.name for output in session.get_outputs()]
    found = {}
    for name, value in zip(names, session.run(names, {"images": images})):
        value.tofile(f"{job['model']}.{name}.bin")
        found[name] = {"shape": value.shape, "type": str(value.dtype)}
    print(json.dumps({"outputs": found, "metadata": session.get_modelmeta().custom_metadata_map}))
