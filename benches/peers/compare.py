#!/usr/bin/env python3
"""Side by side: COCO evaluation of boxes, two JSON files to twelve numbers, by scarf and its peers.

    cargo build --release -p scarf-metrics --example evaluate
    cargo build --release -p scarf-benches --bin workload
    python benches/peers/compare.py [--sizes S,M] [--runs 7] [--threads 1] [--markdown table.md]

Installs the peers with pip into a virtual environment of its own (--venv). Every run is a fresh process on
the same core (or cores), the peers take turns, and the figures are medians of CPU seconds (user + system, of
all threads) and of wall-clock seconds. For a peer the imports do not count; for scarf the whole process does.
All twelve numbers of every peer are compared with the first peer's; the greatest difference is printed.
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

PEERS = {
    "ultrafast-pycocotools": "ultrafast-pycocotools==0.1.14",
    "hotcoco": "hotcoco==1.3.0",
    "faster-coco-eval": "faster-coco-eval==1.8.0",
    "pycocotools": "pycocotools==2.0.11",
}
MODULES = {
    "ultrafast-pycocotools": ("ultrafast_pycocotools", "ultrafast_pycocotools"),
    "hotcoco": ("hotcoco", "hotcoco"),
    "faster-coco-eval": ("faster_coco_eval", "faster_coco_eval"),
    "pycocotools": ("pycocotools.coco", "pycocotools.cocoeval"),
}


def inside(peer, gt_path, dt_path):
    """Runs one peer in this process and prints one line of JSON."""
    import contextlib
    import importlib
    import io

    coco, evaluation = (importlib.import_module(name) for name in MODULES[peer])
    COCO = coco.COCO
    COCOeval = getattr(evaluation, "COCOeval", None) or evaluation.COCOeval_faster
    with contextlib.redirect_stdout(io.StringIO()), open(os.devnull, "w") as nothing:
        saved = os.dup(1)
        os.dup2(nothing.fileno(), 1)
        wall, cpu = time.perf_counter(), time.process_time()
        gt = COCO(gt_path)
        dt = gt.loadRes(dt_path)
        loaded_wall, loaded_cpu = time.perf_counter(), time.process_time()
        run = COCOeval(gt, dt, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
        done_wall, done_cpu = time.perf_counter(), time.process_time()
        os.dup2(saved, 1)
    print(json.dumps({
        "load": loaded_cpu - cpu, "evaluate": done_cpu - loaded_cpu, "cpu": done_cpu - cpu, "wall": done_wall - wall,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "stats": [float(v) for v in run.stats][:12],
    }))


def measured(command, environment):
    """Runs a command: its output, its CPU seconds, its wall-clock seconds, its peak memory in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} failed")
    wall = time.perf_counter() - start
    return output, usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="S,M")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--venv", default="target/peers")
    parser.add_argument("--folder", default="target/workloads")
    parser.add_argument("--bin", default=f"{TARGET}/release", help="where cargo put the programs")
    parser.add_argument("--markdown", help="also write the tables here")
    args = parser.parse_args()
    python = pathlib.Path(args.venv) / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", args.venv], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "numpy", *PEERS.values()], check=True)
    pin = ["taskset", "-c", ",".join(map(str, sorted(os.sched_getaffinity(0))[: args.threads]))]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads), "OMP_NUM_THREADS": str(args.threads)}
    program = pathlib.Path(args.bin)
    lines = []
    for size in args.sizes.split(","):
        folder = pathlib.Path(args.folder) / size
        if not (folder / "dt.json").exists():
            subprocess.run([program / "workload", size, folder], check=True)
        files = [str(folder / "gt.json"), str(folder / "dt.json")]
        rows = {"scarf": []} | {peer: [] for peer in args.peers.split(",") if peer}
        for turn in range(args.runs):
            for peer, row in rows.items():
                if peer == "pycocotools" and turn > 0 and size != "S":
                    continue  # the reference is slow, and once is enough for the reference
                if peer == "scarf":
                    command = [program / "examples" / "evaluate", *files, str(args.threads), "--json"]
                    output, cpu, wall, peak = measured(pin + command, environment)
                    row.append({**json.loads(output), "cpu": cpu, "wall": wall, "peak": peak})
                else:
                    command = pin + [python, __file__, "--inside", peer, *files]
                    row.append(json.loads(measured(command, environment)[0]))
        lines += table(size, rows, args.threads)
    print("\n".join(lines))
    if args.markdown:
        pathlib.Path(args.markdown).write_text("\n".join(lines) + "\n")


def table(size, rows, threads):
    """The lines of one size's table."""
    middle = lambda row, key: statistics.median(run[key] for run in row)
    ours = {key: middle(rows["scarf"], key) for key in ("cpu", "wall")}
    reference = list(rows.values())[-1][0]["stats"]
    lines = [
        f"Workload {size}, {threads} thread{'s' if threads > 1 else ''}:", "",
        "| | CPU s | times scarf's | wall s | times scarf's | peak MiB | greatest difference | runs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for peer, row in rows.items():
        cpu, wall, peak = (middle(row, key) for key in ("cpu", "wall", "peak"))
        off = max(abs(a - b) for a, b in zip(row[0]["stats"], reference))
        lines.append(
            f"| {peer} | {cpu:.3f} | {cpu / ours['cpu']:.1f} | {wall:.3f} | {wall / ours['wall']:.1f} "
            f"| {peak:.0f} | {off:.0e} | {len(row)} |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(*sys.argv[2:5])
    else:
        main()
