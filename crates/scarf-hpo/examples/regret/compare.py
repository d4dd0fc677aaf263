"""Median simple regret of scarf-hpo and of Optuna on the same functions, as a table in Markdown.

    python crates/scarf-hpo/examples/regret/compare.py [--seeds 20] [--out docs/hpo-benchmark.md]

Needs optuna 5, cmaes, scipy and torch (Optuna's GP uses it), and cargo.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from multiprocessing import Pool

os.environ["OMP_NUM_THREADS"] = "1"

A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def branin(t):
    x, y = t.suggest_float("x0", -5, 10), t.suggest_float("x1", 0, 15)
    a = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return a * a + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def hartmann6(t):
    x = [t.suggest_float(f"x{i}", 0, 1) for i in range(6)]
    inner = (sum(a * (v - p) ** 2 for a, v, p in zip(A[i], x, P[i])) for i in range(4))
    return -sum(alpha * math.exp(-s) for alpha, s in zip([1.0, 1.2, 3.0, 3.2], inner))


def ackley5(t):
    x = [t.suggest_float(f"x{i}", -15, 30) for i in range(5)]
    squares = sum(v * v for v in x) / 5
    cosines = sum(math.cos(2 * math.pi * v) for v in x) / 5
    return -20 * math.exp(-0.2 * math.sqrt(squares)) - math.exp(cosines) + 20 + math.e


def mixed(t):
    lr = math.log10(t.suggest_float("lr", 1e-5, 1e-1, log=True))
    batch = math.log2(t.suggest_int("batch", 8, 256, log=True)) - 5
    layers = t.suggest_int("layers", 1, 8) - 5
    optimizer = t.suggest_categorical("optimizer", ["sgd", "adam", "rmsprop"])
    centre, penalty = {"adam": (-3.2, 0.0), "sgd": (-1.8, 0.02), "rmsprop": (-3.7, 0.05)}[optimizer]
    return 0.1 * (lr - centre - 0.25 * batch) ** 2 + 0.03 * batch**2 + 0.01 * layers**2 + penalty


FUNCTIONS = {
    "branin": (branin, 0.3978873577297382),
    "hartmann6": (hartmann6, -3.322368011391339),
    "ackley5": (ackley5, 0.0),
    "mixed": (mixed, 0.0),
}
SAMPLERS = ["tpe", "tpe_univariate", "gp", "cma_es", "random"]


def sampler(name, seed):
    import optuna

    samplers = optuna.samplers
    return {
        "tpe": lambda: samplers.TPESampler(seed=seed),
        "tpe_univariate": lambda: samplers.TPESampler(seed=seed, multivariate=False),
        "gp": lambda: samplers.GPSampler(seed=seed),
        "cma_es": lambda: samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
        "random": lambda: samplers.RandomSampler(seed=seed),
    }[name]()


def optuna_run(job):
    import optuna

    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name, function, seed = job
    objective, minimum = FUNCTIONS[function]
    begin = time.process_time()
    study = optuna.create_study(sampler=sampler(name, seed))
    study.optimize(objective, n_trials=100)
    best, regret = math.inf, []
    for trial in study.trials:
        best = min(best, trial.value - minimum)
        regret.append(best)
    ask_ms = (time.process_time() - begin) * 10
    return {"library": "optuna", "sampler": name, "function": function, "seed": seed, "regret": regret, "ask_ms": ask_ms}


def duel(rows, samplers):
    """Over all seeds of both: the medians at 100 trials, how often a search of ours beats one of Optuna's, and the p of
    the Mann-Whitney test that neither is better."""
    from scipy.stats import mannwhitneyu

    lines = ["| sampler | function | seeds, scarf / Optuna | at 30: ours better, p | at 100: ours better, p | medians at 100 |"]
    lines.append("| --- " * 6 + "|")
    for name in samplers:
        for function in FUNCTIONS:
            both = [
                [row["regret"] for row in rows if (row["library"], row["sampler"], row["function"]) == (library, name, function)]
                for library in ("scarf", "optuna")
            ]
            if not all(both):
                continue
            cells = []
            for n in (30, 100):
                ours, theirs = ([regret[n - 1] for regret in group] for group in both)
                test = mannwhitneyu(ours, theirs)
                cells.append(f"{1 - test.statistic / (len(ours) * len(theirs)):.2f}, {test.pvalue:.3f}")
            medians = " / ".join(figure(statistics.median(regret[99] for regret in group)) for group in both)
            seeds = f"{len(both[0])} / {len(both[1])}"
            lines.append(f"| {name} | {function} | {seeds} | {cells[0]} | {cells[1]} | {medians} |")
    return "\n".join(lines)


def scarf_runs(seeds, samplers):
    command = ["cargo", "run", "-q", "-p", "scarf-hpo", "--example", "regret", "--"]
    command += ["--seeds", str(seeds), "--samplers", ";".join(samplers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def optuna_runs(seeds, samplers, cache):
    done = {}
    if cache and os.path.exists(cache):
        for row in map(json.loads, open(cache)):
            done[row["sampler"], row["function"], row["seed"]] = row
    jobs = [(s, f, seed) for s in samplers for f in FUNCTIONS for seed in range(seeds)]
    with Pool(int(os.environ.get("JOBS", "2"))) as pool:
        for row in pool.imap_unordered(optuna_run, [job for job in jobs if job not in done]):
            done[row["sampler"], row["function"], row["seed"]] = row
            if cache:
                with open(cache, "a") as file:
                    file.write(json.dumps(row) + "\n")
    return [done[job] for job in jobs]


def figure(x):
    return f"{x:.1e}" if 0 < x < 1e-3 else f"{x:.3g}"


def table(rows, samplers):
    cells = {}
    for row in rows:
        cells.setdefault((row["sampler"], row["library"], row["function"]), []).append(row)
    lines = ["| sampler | library | " + " | ".join(FUNCTIONS) + " | ms a suggestion |", "| --- " * (len(FUNCTIONS) + 3) + "|"]
    for name in samplers:
        for library in ["scarf", "optuna"]:
            text, ask = [], []
            for function in FUNCTIONS:
                group = cells.get((name, library, function))
                if not group:
                    text.append("-")
                    continue
                at = [statistics.median(row["regret"][n - 1] for row in group) for n in (30, 100)]
                text.append(f"{figure(at[0])} / {figure(at[1])}")
                ask.append(statistics.median(row["ask_ms"] for row in group))
            if ask:
                lines.append(f"| {name} | {library} | " + " | ".join(text) + f" | {figure(statistics.mean(ask))} |")
    return "\n".join(lines)


def main():
    import optuna

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--scarf-seeds", type=int, help="more seeds of ours, for the second table; they are cheap")
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--cache", help="a file that keeps Optuna's runs from one call to the next")
    parser.add_argument("--out", help="where the page goes; standard output without it")
    args = parser.parse_args()
    samplers = args.samplers.split(",")
    rows = scarf_runs(args.scarf_seeds or args.seeds, samplers + ["sobol"]) + optuna_runs(args.seeds, samplers, args.cache)
    page = f"""# Samplers side by side with Optuna

Median simple regret after 30 / 100 trials over {args.seeds} seeds, scarf-hpo and Optuna {optuna.__version__} (Python
{platform.python_version()}), less is better; and the mean time of one suggestion over those 100 trials (CPU time of the
whole trial for Optuna), for orientation. Made by

```sh
python crates/scarf-hpo/examples/regret/compare.py --seeds {args.seeds} --out docs/hpo-benchmark.md
```

{table([row for row in rows if row["seed"] < args.seeds], samplers + ["sobol"])}

{duel(rows, samplers)}

The functions are in `crates/scarf-hpo/examples/regret/`: Branin (2 dimensions), Hartmann6 (6), Ackley5 (5, the box
[-15, 30]^5), and a mixed space of a logarithmic learning rate, a logarithmic and a linear integer, and a choice.
"""
    if args.out:
        with open(args.out, "w") as file:
            file.write(page)
    else:
        sys.stdout.write(page)


if __name__ == "__main__":
    main()
