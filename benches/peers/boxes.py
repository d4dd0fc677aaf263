#!/usr/bin/env python3
"""Side by side: NMS at IoU .5 and the IoU matrix, by scarf, torchvision and powerboxes, on one core.

    cargo build --release -p scarf-benches --bin boxes
    python benches/peers/boxes.py [--counts 1000,10000,100000] [--runs 5] [--markdown table.md]

Needs numpy, torch, torchvision and powerboxes in the Python that runs it. Wall-clock milliseconds, medians.
Fails unless the indices that scarf keeps are those that torchvision keeps.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])

import numpy as np  # noqa: E402
import powerboxes  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402

# Where cargo puts what it builds.
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")

torch.set_num_threads(1)


def median(runs, run):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        result = run()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times), result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1000,10000,100000")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--bin", default=f"{TARGET}/release")
    parser.add_argument("--folder", default="target/boxes")
    parser.add_argument("--markdown")
    args = parser.parse_args()
    lines = ["| | boxes | scarf ms | peer ms | times |", "| --- | --- | --- | --- | --- |"]
    for count in map(int, args.counts.split(",")):
        runs = args.runs if count < 100_000 else min(args.runs, 3)
        program = pathlib.Path(args.bin) / "boxes"
        output = subprocess.run([program, str(count), args.folder, str(max(runs, 5))], check=True, capture_output=True).stdout
        ours = json.loads(output)
        read = lambda name, kind: np.fromfile(pathlib.Path(args.folder) / name, kind)
        boxes, scores = read("boxes.f32", np.float32).reshape(-1, 4), read("scores.f32", np.float32)
        tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
        row = lambda what, mine, theirs: lines.append(
            f"| {what} | {count:,} | {mine:.3f} | {theirs:.2f} | {theirs / mine:.1f} |")
        theirs, kept = median(runs, lambda: torchvision.ops.nms(*tensors, 0.5))
        if kept.tolist() != read("kept.u64", np.uint64).tolist():
            sys.exit(f"{count} boxes: scarf and torchvision keep other boxes")
        row("NMS, torchvision.ops.nms", ours["nms_ms"], theirs)
        wide, wide_scores = boxes.astype(np.float64), scores.astype(np.float64)
        for name in ("nms", "rtree_nms"):
            theirs, _ = median(runs, lambda: getattr(powerboxes, name)(wide, wide_scores, 0.5, 0.0))
            row(f"NMS, powerboxes.{name}", ours["nms_ms"], theirs)
        if count <= 10_000:
            theirs, _ = median(min(runs, 3), lambda: powerboxes.iou_distance(wide, wide))
            row("IoU matrix f64, powerboxes.iou_distance", ours["iou_f64_ms"], theirs)
            row("IoU matrix f32, powerboxes.iou_distance (f64: it has no other)", ours["iou_f32_ms"], theirs)
            touched = np.zeros((count, count))
            theirs, _ = median(runs, lambda: touched.fill(1.0))
            row("IoU matrix f64, only writing one (numpy fill)", ours["iou_f64_ms"], theirs)
            theirs, _ = median(min(runs, 3), lambda: torchvision.ops.box_iou(tensors[0], tensors[0]))
            row("IoU matrix f32, torchvision.ops.box_iou", ours["iou_f32_ms"], theirs)
    print("\n".join(lines))
    if args.markdown:
        pathlib.Path(args.markdown).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
