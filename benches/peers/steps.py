#!/usr/bin/env python3
"""Side by side: a training step and a forward pass of three backbones, batch 4, by scarf's kernels and by PyTorch, on
the same cores.

    cargo build -p scarf-kernels --example step
    python benches/peers/steps.py [--rounds 3] [--steps 8] [--threads 2] [--markdown table.md]

Needs torch and torchvision in the Python that runs it. Each measurement is a process of its own
(crates/scarf-kernels/examples/step.rs and step.py), pinned to the same cores; the two take turns, and the figures are
medians over rounds of the medians over steps.
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys

# Where cargo puts what it builds.
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")

NETWORKS = {"vgg": "VGG-16 atrous, 300 px", "resnet": "ResNet-50, 256 px", "mobilenet": "MobileNet v1, 256 px"}
LINE = re.compile(r"px, (training step|forward) .*wall +([0-9.]+).* peak +([0-9.]+) MiB")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--markdown", help="also write the table here")
    args = parser.parse_args()
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[: args.threads]))
    threads = str(args.threads)
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}

    def run(command):
        """Milliseconds and peak MiB by what was timed."""
        out = subprocess.run(["taskset", "-c", cores, *command], env=environment, capture_output=True, text=True)
        if out.returncode:
            raise SystemExit(f"{command} failed:\n{out.stderr}")
        found = {what: (float(wall), float(peak)) for what, wall, peak in LINE.findall(out.stdout)}
        if len(found) != 2:
            raise SystemExit(f"{command} printed no times:\n{out.stdout}")
        return found

    lines = [
        "| | scarf ms | PyTorch ms | times as fast | scarf MiB | PyTorch MiB | part |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for name in args.networks.split(","):
        steps = str(args.steps)
        ours = [str(ROOT / TARGET / "debug/examples/step"), name, "ours", steps]
        theirs = [sys.executable, str(ROOT / "crates/scarf-kernels/examples/step.py"), name, steps]
        rounds = [(run(ours), run(theirs)) for _ in range(args.rounds)]
        for what in ("training step", "forward"):
            (a, mine), (b, other) = (
                [statistics.median(row[which][what][figure] for row in rounds) for figure in (0, 1)] for which in (0, 1)
            )
            lines.append(
                f"| {NETWORKS[name]}, {what} | {a:.0f} | {b:.0f} | {b / a:.2f} | {mine:.0f} | {other:.0f} "
                f"| {100 * mine / other:.0f} % |"
            )
            print(lines[-1], flush=True)
    if args.markdown:
        pathlib.Path(args.markdown).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
