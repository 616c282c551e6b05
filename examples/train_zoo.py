"""Train the small networks of `tests/zoo` and write their weights there, from the root of the repository:

    python -m examples.train_zoo vgg          one network, 5 to 100 seconds on one core
    python -m examples.train_zoo all

Networks of digits train on the 1347 training images of `digits.npz`, most of them moved by up to one pixel; the three
CNNs with leaky ReLU, SiLU and GELU on 10,000 images of MNIST and the 1-D network on BasicMotions, which must lie beside
the repository (`../shared/data`). Adam under a one-cycle schedule; the test part serves for the report alone.
The same seed gives the same weights on the same machine with the same library versions; other versions round otherwise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo import (
    activations,
    autoencoder,
    densenet,
    detector,
    mlp,
    mobilenet,
    recurrent,
    resnet,
    timeseries,
    unet,
    vgg,
    vit,
)
from tests.zoo import data as zoo_data
from tests.zoo.boxes import CHANNELS, scenes
from tests.zoo.networks import ZOO
from tests.zoo.zoo import weights_file

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def classes(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Cross entropy; of pixels too."""
    return functional.cross_entropy(model(x), y)


def values(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error."""
    return functional.mse_loss(model(x), y)


def boxes(model: nn.Module, x: Tensor, grid: Tensor) -> Tensor:
    """Whether there is an object everywhere; where there is one, its box (five-fold, squared) and its class."""
    raw = model.raw(x)  # type: ignore[operator]
    there = grid[:, 4] > 0
    cells, wanted = (v.permute(0, 2, 3, 1)[there] for v in (raw, grid))
    objects = functional.binary_cross_entropy_with_logits(raw[:, 4], grid[:, 4], reduction="sum")
    places = functional.mse_loss(cells[:, :4].sigmoid(), wanted[:, :4], reduction="sum")
    labels = functional.cross_entropy(cells[:, 5:CHANNELS], wanted[:, 5:].argmax(1), reduction="sum")
    total: Tensor = (objects + 5 * places + labels) / len(x)
    return total


@dataclass(frozen=True)
class Task:
    """How a network is trained; `shift` is by how many pixels images may move."""

    make: Callable[[], nn.Module]
    split: Callable[[], zoo_data.Split]
    epochs: int
    loss: Loss = classes
    rate: float = 5e-3
    batch: int = 64
    shift: int = 0


def _scenes() -> zoo_data.Split:
    return *scenes(3000, True), *scenes(300, False)


_digits = partial(Task, split=zoo_data.digit_split, shift=1)
TASKS: dict[str, Task] = {
    "mlp": _digits(mlp.network, epochs=60, rate=3e-3, shift=0),
    "vgg": _digits(vgg.network, epochs=30),
    "mobilenet": _digits(mobilenet.network, epochs=25),
    "densenet": _digits(densenet.network, epochs=30),
    "resnet_padded": _digits(partial(resnet.network, resnet.Padded), epochs=30),
    "resnet_projected": _digits(partial(resnet.network, resnet.projected), epochs=30),
    "vit": _digits(vit.ViT, epochs=80, rate=3e-3),
    "elman": _digits(recurrent.Elman, epochs=60, rate=3e-3, shift=0),
    "unet": Task(unet.UNet, zoo_data.masks, epochs=20),
    "autoencoder": Task(autoencoder.network, zoo_data.noisy_digits, epochs=60, loss=values),
    "detector": Task(detector.Detector, _scenes, epochs=18, loss=boxes),
    "conv1d": Task(timeseries.network, zoo_data.motions, epochs=60, rate=1e-2, batch=8),
    **{
        name: Task(partial(activations.network, make), zoo_data.mnist, epochs=10, rate=1e-2, shift=1)
        for name, make in activations.ACTIVATIONS.items()
    },
}


def shifted(x: Tensor, generator: torch.Generator, most: int) -> Tensor:
    """Every image moved by up to `most` pixels along each axis, with zeros moved in."""
    height, width = x.shape[2:]
    padded = functional.pad(x, (most,) * 4)
    move = torch.randint(0, 2 * most + 1, (2, len(x), 1), generator=generator)
    rows = (move[0] + torch.arange(height))[:, :, None]
    columns = (move[1] + torch.arange(width))[:, None, :]
    return padded[torch.arange(len(x))[:, None, None], 0, rows, columns][:, None]


def train(task: Task, seed: int) -> nn.Module:
    """The trained network, in evaluation mode."""
    x, y = (torch.from_numpy(a) for a in task.split()[:2])
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = task.make()
    optimizer = torch.optim.Adam(net.parameters(), weight_decay=1e-4)
    steps = len(x) // task.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=task.rate, epochs=task.epochs, steps_per_epoch=steps
    )
    for _ in range(task.epochs):
        # the last, smaller batch is left out: its statistics would be those of few images
        for chosen in torch.randperm(len(x), generator=generator).split(task.batch)[:steps]:
            inputs = shifted(x[chosen], generator, task.shift) if task.shift else x[chosen]
            loss = task.loss(net, inputs, y[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            schedule.step()
    return net.eval()


def main() -> None:
    """Train, write, report."""
    parser = argparse.ArgumentParser(description="Train networks of tests/zoo and write their weights.")
    parser.add_argument("names", nargs="+", choices=[*TASKS, "all"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums split over threads would depend on the number of cores
    for name in TASKS if "all" in arguments.names else arguments.names:
        started = time.process_time()
        net = train(TASKS[name], arguments.seed)
        seconds = time.process_time() - started
        path = weights_file(name)
        path.parent.mkdir(exist_ok=True)
        state = {k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
        save_file(state, path)
        zoo = ZOO["elman_unrolled" if name == "elman" else name]()
        assert zoo.labels is not None
        score = zoo.metric.score(zoo.reference(), zoo.labels)
        size = path.stat().st_size
        print(
            f"{name:17} {zoo.metric.score_name} {score:.4f}  {seconds:.0f} s of CPU  {size / 1000:.0f} kB", flush=True
        )


if __name__ == "__main__":
    main()
