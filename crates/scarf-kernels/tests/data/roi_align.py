"""Writes roi_align.json beside this file: torchvision's roi_align and its gradient on fixed numbers.

    pip install torch torchvision
    python crates/scarf-kernels/tests/data/roi_align.py
"""

import json
from pathlib import Path

import torch
import torchvision

CASES = [
    # map, regions (image, x1, y1, x2, y2), bins, scale, samples
    ([2, 3, 9, 12], [[0, 4, 6, 60, 50], [1, 0, 0, 95, 71], [1, 30, 20, 33, 22]], [7, 7], 1 / 8, 2),
    ([2, 2, 7, 5], [[1, -20, -30, 30, 40], [0, 20, 30, 200, 90], [0, 3, 3, 3, 3]], [3, 2], 1 / 4, 1),
    ([1, 2, 6, 6], [[0, 1.5, 0.25, 5.75, 5.5], [0, 5, 5, 9, 20]], [2, 4], 1.0, 3),
    ([1, 1, 1, 1], [[0, 0, 0, 30, 20]], [2, 2], 1 / 32, 2),
]

torch.manual_seed(3)
cases = []
for dims, regions, size, scale, samples in CASES:
    x = torch.randn(dims, requires_grad=True)
    output = torchvision.ops.roi_align(x, torch.tensor(regions, dtype=torch.float32), size, scale, samples, aligned=False)
    weights = torch.randn_like(output)
    (output * weights).sum().backward()
    flat = lambda t: [float(v) for v in t.detach().flatten()]
    cases.append(
        {
            "dims": dims,
            "regions": regions,
            "size": size,
            "scale": scale,
            "samples": samples,
            "x": flat(x),
            "output": flat(output),
            "weights": flat(weights),
            "gradient": flat(x.grad),
        }
    )

path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps({"torchvision": torchvision.__version__, "cases": cases}) + "\n")
print(path, "by torchvision", torchvision.__version__)
