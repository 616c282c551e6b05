"""A hybrid network for moving digits: an ANN looks at key frames, spiking neurons at what has moved since.

After ReSpike (Xiao et al., "ReSpike: residual frames-based hybrid spiking neural networks for efficient action
recognition", 2024): key frames go through real-valued layers at a slow rate, residual frames (frame - key frame)
through spiking ones at a fast rate, the former's features gate the latter (attention), and the two votes are averaged.
Which class it is takes both: whether the digit is below five is seen on the key frame, where it moves to is not.

    python examples/respike.py        # trains for a minute, and prints what the network costs
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.backends.torch_runtime import TorchRuntime
from ranvier.ir.core import Builder, Module, Value
from ranvier.ir.elements import Affine, Elem
from ranvier.ir.interfaces import Optimizer
from ranvier.ir.ops.activations import Relu, Sigmoid
from ranvier.ir.ops.arith import Add, Mul, Sub
from ranvier.ir.ops.loss import CrossEntropy
from ranvier.ir.ops.neurons import Neuron
from ranvier.ir.ops.nn import Conv, Linear
from ranvier.ir.ops.shape import Broadcast, Reshape, Slice
from ranvier.ir.ops.snn import BiasCurrent, Decode, Encode, Psp
from ranvier.ir.ops.time import Accumulate, FromTime, Last, Repeat, ToTime
from ranvier.ir.types import tensor

Array = np.ndarray[Any, Any]
SIZE, CLASSES = 16, 8
MOVES = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(frozen=True)
class ReSpike:
    """What the network is built from. Each of `keys` groups begins with a key frame, `group - 1` frames follow it, and
    each of them drives the spiking branch for `hold` steps. `gate_code` is how the attention crosses to the spiking
    branch: None for real numbers, or a spike code over `gate_steps` steps.
    """

    keys: int = 1
    group: int = 6
    hold: int = 2
    channels: tuple[int, int] = (8, 16)
    gate_code: str | None = "phase"
    gate_steps: int = 8
    late: bool = True

    @property
    def steps(self) -> int:
        """Timesteps of the spiking branch."""
        return self.keys * (self.group - 1) * self.hold

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.keys * self.group


def network(r: ReSpike, weights: dict[str, Array] | None = None, objective: bool = False) -> Module:
    """The module: clip [N, frames, 1, 16, 16] -> logits [N, 8]; with `objective`, labels go in and the loss comes out.

    `late=False` repeats the key frame before the ANN instead of its features behind it: the same function.
    """
    module = Module("respike")
    b = Builder(module.new_graph())
    w = Weights(b, r, weights or {})
    clip = b.graph.argument("clip", tensor("N", r.frames, 1, SIZE, SIZE))
    labels = b.graph.argument("labels", tensor("N", dtype="i64")) if objective else None
    key, residual = split(b, r, clip)
    features, key_logits = key_branch(b, r, w, key)
    motion_logits = residual_branch(b, r, w, residual, attention(b, r, w, features))
    total = b(Add, key_logits, motion_logits)
    logits = b(Mul, total, b.constant(np.float32(0.5), "half"), name="logits")
    if labels is None:
        b.returns(logits, names=["logits"])
    else:
        loss = b(CrossEntropy, logits, labels, name="loss")
        b.returns(logits, loss, names=["logits", "loss"], roles=["output", "loss"])
    return module.verify().freeze()


class Weights:
    """Weights by name: those given, or random ones."""

    def __init__(self, b: Builder, r: ReSpike, given: dict[str, Array]):
        self.b, self.given = b, given
        self.random = np.random.default_rng(0)

    def __call__(self, name: str, *shape: int) -> Value:
        """A weight (He's initialisation), or a bias (zeros) for one axis."""
        scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.0
        array = (self.random.normal(size=shape) * scale).astype(np.float32)
        return self.b.constant(self.given.get(name, array), name)


# -- time --------------------------------------------------------------------------------------------------------------
def split(b: Builder, r: ReSpike, clip: Value) -> tuple[Value, Value]:
    """Key frames (at the slow rate, or without time if there is one), and residual frames at the fast rate."""
    groups = b(Reshape, clip, shape=("N", r.keys, r.group, 1, SIZE, SIZE), name="groups")
    keys = b(Slice, groups, axes=(2,), starts=(0,), stops=(1,), steps=(1,), name="keys")
    others = b(Slice, groups, axes=(2,), starts=(1,), stops=(r.group,), steps=(1,), name="others")
    residual = fast(b, r, b(Sub, others, keys, name="residual_frames"), "residual")
    if r.keys == 1:
        return b(Reshape, keys, shape=("N", 1, SIZE, SIZE), name="key"), residual
    return b(ToTime, b(Reshape, keys, shape=("N", r.keys, 1, SIZE, SIZE)), axis=1, name="key"), residual


def fast(b: Builder, r: ReSpike, frames: Value, name: str) -> Value:
    """[N, keys, n, ...] -> [N, ...] over T steps: each of a group's n values is held for as long as it is valid."""
    shape = frames.type.shape[3:]
    count = r.steps // r.keys // int(frames.type.shape[2])
    apart = b(Reshape, frames, shape=(*frames.type.shape[:3], 1, *shape))
    held = b(Broadcast, apart, shape=(*frames.type.shape[:3], count, *shape))
    out: Value = b(ToTime, b(Reshape, held, shape=("N", r.steps, *shape)), axis=1, name=name)
    return out


# -- the key frames' branch: real values -------------------------------------------------------------------------------
def key_branch(b: Builder, r: ReSpike, w: Weights, key: Value) -> tuple[Value, Value]:
    """Features and votes of the key frames."""
    one, two = r.channels
    if r.keys == 1 and not r.late:
        key = b(Repeat, key, steps=r.steps, name="key.repeat")
    h = b(Relu, conv(b, w, "key1", key, 1, one, 2))
    features = b(Relu, conv(b, w, "key2", h, one, two, 2), name="features")
    return features, vote(b, w, "key_vote", mean(b, features), two)


def attention(b: Builder, r: ReSpike, w: Weights, features: Value) -> Value:
    """One gate a feature for every step of the spiking branch. The boundary: spikes of `gate_code`, decoded again."""
    two = r.channels[1]
    gate = b(Sigmoid, conv(b, w, "gate", features, two, two, 1, kernel=1), name="gate")
    if r.keys > 1:
        slow = b(FromTime, gate, axis=1, name="gate.slow")
        slow = b(Reshape, slow, shape=("N", r.keys, 1, *gate.type.shape[1:]))
        return fast(b, r, slow, "gate.fast")
    if gate.type.time is not None:
        return gate
    if r.gate_code is not None:
        spikes = b(Encode, gate, code=r.gate_code, steps=r.gate_steps, key="gate", name="gate.spikes")
        gate = b(Decode, spikes, name="gate.decoded")
    out: Value = b(Repeat, gate, steps=r.steps, name="gate.repeat")
    return out


# -- the residual frames' branch: spikes -------------------------------------------------------------------------------
def residual_branch(b: Builder, r: ReSpike, w: Weights, residual: Value, gate: Value) -> Value:
    """Votes of what has moved. The boundaries: spikes of either sign of the residual, and decoded spikes at the end."""
    one, two = r.channels
    moved = spikes(b, residual, "moved", 0.5, signed=True)
    h = spikes(b, current(b, w, "move1", b(Psp, moved), 1, one), "h1", 1.0)
    gated = b(Mul, current(b, w, "move2", b(Psp, h), one, two), gate, name="gated")
    found = b(Decode, spikes(b, gated, "h2", 1.0), name="found")
    flat = b(Reshape, found, shape=("N", two * 16))
    return vote(b, w, "move_vote", flat, two * 16)


def spikes(b: Builder, drive: Value, name: str, theta: float, signed: bool = False) -> Value:
    """An integrate-and-fire neuron with soft reset, its spikes worth theta."""
    code, storage, negative = ("rate(signed=true)", "i2", "free") if signed else ("rate", "i1", "none")
    out: Value = b(
        Neuron, drive, code=code, elem=Elem(storage, Affine(theta)), negative=negative,
        name=[f"{name}.spikes", f"{name}.membrane", f"{name}.count"],
    )[0]  # fmt: skip
    return out


def current(b: Builder, w: Weights, name: str, x: Value, n_in: int, n_out: int) -> Value:
    """A convolution of spikes of stride 2 and a bias current."""
    out = b(Conv, x, w(f"{name}.weight", n_out, n_in, 3, 3), strides=(2, 2), padding=(1, 1, 1, 1), name=f"{name}.conv")
    biased: Value = b(BiasCurrent, out, w(f"{name}.bias", n_out), name=name)
    return biased


# -- layers ------------------------------------------------------------------------------------------------------------
def conv(b: Builder, w: Weights, name: str, x: Value, n_in: int, n_out: int, stride: int, kernel: int = 3) -> Value:
    """A convolution with bias."""
    weight, bias = w(f"{name}.weight", n_out, n_in, kernel, kernel), w(f"{name}.bias", n_out)
    edge = (kernel // 2,) * 4
    out: Value = b(Conv, x, weight, bias, strides=(stride, stride), padding=edge, name=name)
    return out


def mean(b: Builder, features: Value) -> Value:
    """Features flattened, averaged over time where they have time."""
    if features.type.time is not None:
        features = b(Last, b(Accumulate, features, mode="mean")[0])
    out: Value = b(Reshape, features, shape=("N", features.type.shape[1] * 16))
    return out


def vote(b: Builder, w: Weights, name: str, x: Value, n_in: int) -> Value:
    """Logits of a branch."""
    size = int(x.type.shape[1])
    out: Value = b(Linear, x, w(f"{name}.weight", CLASSES, size), w(f"{name}.bias", CLASSES), name=name)
    return out


# -- data and training -------------------------------------------------------------------------------------------------
def clips(images: Array, digits: Array, frames: int, seed: int = 0) -> tuple[Array, Array]:
    """Every 8 x 8 image on a canvas of 16 x 16, a pixel further in each frame; class 4 * (digit >= 5) + direction."""
    random = np.random.default_rng(seed)
    direction = random.integers(0, 4, len(images))
    out = np.zeros((len(images), frames, 1, SIZE, SIZE), np.float32)
    for i, (image, d) in enumerate(zip(images[:, 0], direction, strict=True)):
        at = random.integers(3, 6, 2)
        for f in range(frames):
            y, x = (int(np.clip(p + s * min(f, 4), 0, 8)) for p, s in zip(at, MOVES[d], strict=True))
            out[i, f, 0, y : y + 8, x : x + 8] = image
    return out, (4 * (digits >= 5) + direction).astype(np.int64)


def trained(r: ReSpike, x: Array, y: Array, epochs: int = 16) -> dict[str, Array]:
    """Weights, trained through both branches at once: surrogate gradients where there are spikes."""
    source = network(ReSpike(r.keys, r.group, r.hold, r.channels, gate_code=None), objective=True)
    names = [n for n in source.resources if n.endswith((".weight", ".bias"))]
    made = TorchRuntime().train(source, names, Optimizer("adam", lr=3e-3), [x, y], seed=0, epochs=epochs)
    return {n: made.resource(n).array for n in names}


def main() -> None:
    """Train, compile, evaluate."""
    found = np.load(Path(__file__).with_name("digits.npz"))
    r = ReSpike()
    parts = [clips(found["x"][:1347], found["y"][:1347], r.frames, seed) for seed in (0, 1, 2)]
    weights = trained(r, *(np.concatenate(p) for p in zip(*parts, strict=True)))
    executable = rv.compile(network(r, weights))
    x, y = clips(found["x"][1347:], found["y"][1347:], r.frames, seed=3)
    print(executable.evaluate(x, y))


if __name__ == "__main__":
    main()
