#!/usr/bin/env python3
"""Every published detector by name: milliseconds an image from pixels to boxes, and memory, with weights drawn at random
and six classes.

    cargo build -p scarf
    python benches/models.py [--steps 5] [--threads 2] [--markdown table.md]

Each measurement is a process of its own, `scarf benchmark NAME --json`, pinned to the same cores.
"""

import argparse
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bin", default=ROOT / "target/debug/scarf")
    parser.add_argument("--markdown", help="also write the table here")
    args = parser.parse_args()
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[: args.threads]))
    environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}

    def scarf(*words):
        command = ["taskset", "-c", cores, args.bin, *words, "--json"]
        return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    lines = ["| model | px | parameters | G mult-adds | ms an image | MiB |", "| --- | --- | --- | --- | --- | --- |"]
    for model in scarf("models"):
        name = model["name"]
        if name.endswith("-coco"):
            continue  # with six classes it is the -voc one with other anchors
        run = scarf("benchmark", name, "--device", "cpu", "--steps", str(args.steps))
        lines.append(
            f"| {name} | {model['image']} | {model['parameters_with_six_classes']:,} "
            f"| {model['giga_multiply_adds']:.2f} | {run['p50']:.0f} | {run['peak_memory']:.0f} |"
        )
        print(lines[-1], flush=True)
    if args.markdown:
        pathlib.Path(args.markdown).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
