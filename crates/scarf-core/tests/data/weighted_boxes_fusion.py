"""Writes weighted_boxes_fusion.json beside this file: looks at some images, and what the authors' package makes of them.

    pip install ensemble-boxes==1.0.9
    python crates/scarf-core/tests/data/weighted_boxes_fusion.py
"""

import json
from pathlib import Path

import numpy as np
from ensemble_boxes import weighted_boxes_fusion

SIDE = 256.0
CLASSES = 3


def look(rng, objects):
    """Objects found again, moved a little, some of them twice or not at all; and boxes that nobody else has."""
    rows = []
    for label, corners in objects:
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            moved = corners + rng.normal(0.0, 0.02, 4)
            rows.append((label, moved, rng.uniform(0.02, 1.0)))
    for _ in range(rng.integers(0, 4)):
        rows.append((int(rng.integers(CLASSES)), box(rng), rng.uniform(0.01, 0.3)))
    inside = lambda c: np.array([min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])]).clip(0.0, 1.0)
    return [(label, inside(corners), score) for label, corners, score in rows]


def box(rng):
    corner, size = rng.uniform(0.0, 0.7, 2), rng.uniform(0.05, 0.3, 2)
    return np.concatenate([corner, corner + size])


def rows(boxes, scores, labels):
    return [
        {"class": int(label), "score": float(score), "bbox": [round(float(side * SIDE), 4) for side in corners]}
        for corners, score, label in zip(boxes, scores, labels)
    ]


cases = []
for seed in range(12):
    rng = np.random.default_rng(seed)
    objects = [(int(rng.integers(CLASSES)), box(rng)) for _ in range(6)]
    # As f32, which the detections are.
    looks = [look(rng, objects) for _ in range([1, 2, 3, 4][seed % 4])]
    lists = [[np.float32(corners).tolist() for _, corners, _ in each] for each in looks]
    scores = [[float(np.float32(score)) for _, _, score in each] for each in looks]
    labels = [[label for label, _, _ in each] for each in looks]
    iou = [0.55, 0.4, 0.7][seed % 3]
    fused = weighted_boxes_fusion(lists, scores, labels, iou_thr=iou, skip_box_thr=0.0)
    given = [rows(*each) for each in zip(lists, scores, labels)]
    cases.append({"iou": iou, "looks": given, "fused": rows(*fused)})

path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps(cases) + "\n")
print(path, sum(len(case["fused"]) for case in cases), "boxes")
