#!/usr/bin/env python3
"""Side by side: SSDLite on MobileNet v2 (COCO, 300 x 300) on photographs, by scarf and by onnxruntime from scarf's
own export, on the same cores.

    cargo build -p scarf-onnx --example inference
    python benches/peers/inference.py --weights DIR [--threads 1] [--runs 21] [--markdown table.md]

Needs numpy and onnxruntime in the Python that runs it; DIR holds ssdlite_mobilenet_v2_coco.safetensors and its
reference/. Wall-clock milliseconds, medians after warming up, the two in turn. Fails unless the scores of all
detections are scarf's to 1e-4.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

# Where cargo puts what it builds.
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")


def median(runs, run):
    times = []
    for _ in range(runs + 2):
        start = time.perf_counter()
        result = run()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[2:]), result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=os.environ.get("SCARF_WEIGHTS"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--bin", default=f"{TARGET}/debug/examples")
    parser.add_argument("--folder", default="target/inference")
    parser.add_argument("--markdown")
    args = parser.parse_args()
    if not args.weights:
        sys.exit("--weights or SCARF_WEIGHTS must name the folder of published weights")
    # Children and the threads of onnxruntime inherit this.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)

    import numpy as np
    import onnxruntime

    program = [pathlib.Path(args.bin) / "inference", args.weights, args.folder, str(args.runs)]
    folder = pathlib.Path(args.folder)
    ours, theirs = {}, {}
    for _ in range(args.turns):
        output = subprocess.run(program, check=True, capture_output=True, text=True).stdout
        for line in map(json.loads, output.splitlines()):
            for what in ("network", "detect"):
                ours.setdefault((line["batch"], what), []).append(line[f"{what}_ms"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        for what, name in (("network", "raw"), ("detect", "nms")):
            path = str(folder / f"{name}.onnx")
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            for batch in (1, 8):
                images = np.fromfile(folder / f"images{batch}.f32", np.float32).reshape(batch, 3, 300, 300)
                ms, found = median(args.runs, lambda: session.run(None, {"images": images}))
                theirs.setdefault((batch, what), []).append(ms)
                if what == "detect":
                    scores = np.concatenate([row[:count] for row, count in zip(found[1], found[3])])
                    mine = np.fromfile(folder / f"scores{batch}.f32", np.float32)
                    if mine.shape != scores.shape or np.abs(mine - scores).max() > 1e-4:
                        sys.exit(f"batch {batch}: the detections differ")
    lines = [f"SSDLite, {args.threads} thread{'s' if args.threads > 1 else ''}, onnxruntime {onnxruntime.__version__}:", "",
             "| | batch | scarf ms | onnxruntime ms | times |", "| --- | --- | --- | --- | --- |"]
    names = {"network": "network alone", "detect": "detections, suppression included"}
    for key in ours:
        mine, peer = statistics.median(ours[key]), statistics.median(theirs[key])
        lines.append(f"| {names[key[1]]} | {key[0]} | {mine:.1f} | {peer:.1f} | {peer / mine:.2f} |")
    print("\n".join(lines))
    if args.markdown:
        pathlib.Path(args.markdown).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
