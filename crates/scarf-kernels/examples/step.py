"""The training steps of step.rs in PyTorch: python step.py [mobilenet|resnet|vgg] [steps]."""

import resource
import sys
import time

import torch
from torch import nn


def conv_norm(channels, out, kernel, stride, groups=1, relu=True):
    layers = [nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


def mobilenet():
    layers, channels = [conv_norm(3, 32, 3, 2)], 32
    for out, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]:
        layers += [conv_norm(channels, channels, 3, stride, channels), conv_norm(channels, out, 1, 1)]
        channels = out
    return nn.Sequential(*layers), 256


def resnet():
    import torchvision

    whole = torchvision.models.resnet50()
    return nn.Sequential(*list(whole.children())[:-2]), 256


def vgg():
    layers, channels = [], 3
    for block, (out, count) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]):
        for _ in range(count):
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True)]
            channels = out
        layers.append(nn.MaxPool2d(3, 1, 1) if block == 4 else nn.MaxPool2d(2, 2))
    layers += [nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.ReLU(inplace=True), nn.Conv2d(1024, 1024, 1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers), 300


def measure(name, steps, step):
    step(), step()
    walls, begin = [], time.process_time()
    for _ in range(steps):
        start = time.perf_counter()
        step()
        walls.append((time.perf_counter() - start) * 1e3)
    cpu = (time.process_time() - begin) * 1e3 / steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    walls.sort()
    print(f"{name:<34} torch  wall {walls[steps // 2]:8.1f} (best {walls[0]:8.1f})  cpu {cpu:8.1f} ms  peak {peak:6.0f} MiB")


def main():
    which = sys.argv[1] if len(sys.argv) > 1 else "mobilenet"
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    net, side = {"mobilenet": mobilenet, "resnet": resnet, "vgg": vgg}[which]()
    net.train()
    x = torch.rand(4, 3, side, side) * 2 - 1

    def train():
        net.zero_grad(set_to_none=True)
        net(x).mean().backward()

    def forward():
        with torch.no_grad():
            net(x)

    measure(f"{which} {side} px, training step", steps, train)
    measure(f"{which} {side} px, forward", steps, forward)


main()
