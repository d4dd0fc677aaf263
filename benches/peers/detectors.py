#!/usr/bin/env python3
"""Side by side: training steps and detection by scarf and by torchvision, on the same cores.

    cargo build -p scarf
    python benches/peers/detectors.py [--models A,B] [--jobs train-4,detect-1] [--rounds 3] [--steps 8] [--threads 2]
                                      [--precision bfloat16] [--markdown table.md]

Needs torch and torchvision in the Python that runs it. Each measurement is a process of its own, pinned to the
same cores; the two take turns, and the figures are medians over rounds of the medians over steps. Both get
images of faint noise with three objects each; weights are random, which costs the same as trained ones but
for the number of boxes that suppression meets, and as long as no number becomes too small to be normal. In bfloat16
torchvision's run under autocast.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

# Where cargo puts what it builds.
TARGET = os.environ.get("CARGO_TARGET_DIR", "target")

# Our recipe, torchvision's builder, pixels.
MODELS = {
    "ssd300_vgg16": 300,
    "ssdlite320_mobilenet_v3_large": 320,
    "fasterrcnn_resnet50_fpn": 320,
}
JOBS = [("train", 4), ("detect", 1), ("detect", 8)]


def freeze(module):
    """Makes each batch norm a fixed one."""
    import torch
    from torchvision.ops import FrozenBatchNorm2d

    for name, child in module.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features))
        else:
            freeze(child)


def inside(model, mode, batch, steps, precision):
    """Measures torchvision in this process, and prints one line of JSON."""
    import torch
    import torchvision

    precise = torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")

    torch.manual_seed(0)
    side = MODELS[model]
    build = getattr(torchvision.models.detection, model)
    sized = {"min_size": side, "max_size": side} if model.startswith("faster") else {}
    every_layer = {"trainable_backbone_layers": 6 if "mobilenet" in model else 5}
    net = build(weights=None, weights_backbone=None, num_classes=7, **every_layer, **sized)
    if model.startswith("faster"):
        freeze(net)  # as its published weights are, and our recipe
    images = [0.5 + (torch.rand(3, side, side) - 0.5) / 128 for _ in range(batch)]

    def box():
        x, y, w, h = (float(v) for v in torch.rand(4) * torch.tensor([0.6, 0.6, 0.3, 0.3]))
        return [x * side, y * side, (x + w + 0.1) * side, (y + h + 0.1) * side]

    targets = [
        {"boxes": torch.tensor([box() for _ in range(3)]), "labels": torch.arange(i, i + 3) % 6 + 1}
        for i in range(batch)
    ]
    if mode == "train":
        net.train()
        sgd = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9, weight_decay=5e-4)

        def step():
            sgd.zero_grad(set_to_none=True)
            with precise:
                loss = sum(net(images, targets).values())
            loss.backward()
            sgd.step()

    else:
        net.eval()

        @torch.inference_mode()
        def step():
            with precise:
                net(images)

    step(), step()
    walls, begun = [], time.process_time()
    for _ in range(steps):
        start = time.perf_counter()
        step()
        walls.append((time.perf_counter() - start) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu = (time.process_time() - begun) * 1e3 / steps
    print(json.dumps({"p50": statistics.median(walls), "cpu": cpu, "peak_memory": peak}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    jobs = [f"{mode}-{batch}" for mode, batch in JOBS]
    parser.add_argument("--jobs", default=",".join(jobs), help="which of " + ", ".join(jobs))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--program", default=f"{TARGET}/debug/scarf")
    parser.add_argument("--markdown", help="also write the table here")
    args = parser.parse_args()
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[: args.threads]))
    threads = str(args.threads)
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}

    def run(command):
        out = subprocess.run(["taskset", "-c", cores, *command], env=environment, capture_output=True, text=True)
        if out.returncode:
            raise SystemExit(f"{command} failed:\n{out.stderr}")
        return json.loads(out.stdout.strip().splitlines()[-1])

    lines = [
        "| | batch | scarf ms | torchvision ms | times as fast | scarf MiB | torchvision MiB | part |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for model in args.models.split(","):
        for mode, batch in JOBS:
            if f"{mode}-{batch}" not in args.jobs.split(","):
                continue
            sizes = ["--batch", str(batch), "--steps", str(args.steps)]
            train = ["--train"] if mode == "train" else []
            how = ["--size", str(MODELS[model]), "--precision", args.precision]
            ours = [args.program, "--device", "cpu", "benchmark", model, "--json", *train, *sizes, *how]
            theirs = [sys.executable, __file__, "--inside", model, mode, str(batch), str(args.steps), args.precision]
            rows = [(run(ours), run(theirs)) for _ in range(args.rounds)]
            middle = lambda which, key: statistics.median(row[which][key] for row in rows)
            a, b = middle(0, "p50"), middle(1, "p50")
            mine, other = middle(0, "peak_memory"), middle(1, "peak_memory")
            lines.append(
                f"| {model}, {mode} | {batch} | {a:.0f} | {b:.0f} | {b / a:.2f} | {mine:.0f} | {other:.0f} "
                f"| {100 * mine / other:.0f} % |"
            )
            print(lines[-1], flush=True)
    if args.markdown:
        pathlib.Path(args.markdown).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
    else:
        main()
