"""Evaluates COCO files with pycocotools: python pycocotools_eval.py GT DT [GT DT ...]

Prints one line of JSON for each pair: {"stats": [12], "classes": [[ap, ap50, ap_small, ar100], ...]},
-1 where nothing can be scored.
"""

import contextlib
import io
import json
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def mean(values):
    values = values[values > -1]
    return float(np.mean(values)) if values.size else -1.0


def evaluate(gt_path, dt_path):
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO(gt_path)
        with open(dt_path) as file:
            detections = json.load(file)
        if detections:
            dt = gt.loadRes(dt_path)
        else:  # loadRes looks at the first detection
            dt = COCO()
            dt.dataset = {**gt.dataset, "annotations": []}
            dt.createIndex()
        run = COCOeval(gt, dt, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    precision, recall = run.eval["precision"], run.eval["recall"]
    classes = [
        [mean(precision[:, :, k, 0, -1]), mean(precision[0, :, k, 0, -1]), mean(precision[:, :, k, 1, -1]),
         mean(recall[:, k, 0, -1])]
        for k in range(len(run.params.catIds))
    ]
    return {"stats": [float(v) for v in run.stats], "classes": classes}


for at in range(1, len(sys.argv), 2):
    print(json.dumps(evaluate(sys.argv[at], sys.argv[at + 1])))
