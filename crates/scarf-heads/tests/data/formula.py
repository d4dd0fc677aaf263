"""Weights by a formula, the same here and in `tests/formula/mod.rs`: fixtures need not carry them."""

import numpy as np
import torch

MASK = (1 << 64) - 1
# Layers whose outputs are predictions: small, as of a trained model, so that boxes lie near their anchors.
PREDICTORS = ("cls_logits", "bbox_pred", "cls_score")


def uniform(name: str, count: int) -> np.ndarray:
    """`count` numbers in -1..1 that hang on the name alone: FNV-1a of it, then splitmix64."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1.0


def weight(name: str, shape) -> torch.Tensor:
    """Kernels keep the variance that flows through a ReLU, norms are near the identity, biases small."""
    values = uniform(name, int(np.prod(shape)))
    if len(shape) > 1:
        values *= np.sqrt(6.0 / np.prod(shape[1:]))
        if any(predictor in name for predictor in PREDICTORS):
            values *= 0.02
    elif name.endswith("running_var"):
        values = 1.0 + 0.5 * values
    elif name.endswith("weight"):
        values = 1.0 + 0.1 * values
    else:
        values *= 0.1
    return torch.tensor(values.astype(np.float32)).reshape(shape)


def fill(model: torch.nn.Module, skip=lambda name: False) -> None:
    """Every floating-point entry of the model's state by its name."""
    state = model.state_dict()
    for name, old in state.items():
        if old.is_floating_point() and not skip(name):
            old.copy_(weight(name, tuple(old.shape)))


def image(name: str, side: int) -> torch.Tensor:
    """Three channels of smooth waves in 0..255, whole numbers."""
    y, x = np.mgrid[0:side, 0:side]
    waves = uniform(name, 36).reshape(3, 3, 4)
    planes = [
        sum(w[0] * np.sin(0.4 * w[1] * x + 0.4 * w[2] * y + 3.0 * w[3]) for w in channel) for channel in waves
    ]
    return torch.tensor(np.clip(np.round(128 + 90 * np.stack(planes)), 0, 255).astype(np.float32))
