"""All networks of the zoo by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
from tests.zoo.zoo import Zoo

ZOO: dict[str, Callable[..., Zoo]] = {
    "mlp": mlp.build,
    "vgg": vgg.build,
    "mobilenet": mobilenet.build,
    "densenet": densenet.build,
    "resnet_padded": resnet.build_padded,
    "resnet_projected": resnet.build_projected,
    **{name: partial(activations.build, name) for name in activations.ACTIVATIONS},
    "conv1d": timeseries.build,
    "unet": unet.build,
    "autoencoder": autoencoder.build,
    "detector": detector.build,
    "elman_unrolled": recurrent.build,
    "elman_delayed": recurrent.build_delayed,
    "vit": vit.build,
}
