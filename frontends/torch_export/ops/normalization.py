"""Batch, layer, group and instance normalization in their inference forms."""

from __future__ import annotations

from typing import Any

from ranvier.frontends.torch_export.errors import Unsupported
from ranvier.frontends.torch_export.registry import aten
from ranvier.frontends.torch_export.site import Site
from ranvier.ir.core import Value


@aten("_native_batch_norm_legit_no_training.default")
def batch_norm(
    at: Site, x: Value, scale: Value | None, bias: Value | None, mean: Value, var: Value, _: float, epsilon: float
) -> tuple[Value | None, ...]:
    """Normalization by running statistics. The other two results of torch belong to training."""
    kind, channels = mean.type.elem, mean.type.shape[0]
    assert isinstance(channels, int)
    if scale is None:
        scale = at.filled(1.0, channels, kind, "ones")
    if bias is None:
        bias = at.filled(0.0, channels, kind, "zeros")
    return at("nn.batch_norm", x, scale, bias, mean, var, epsilon=epsilon), None, None


@aten(
    "batch_norm.default",
    "_native_batch_norm_legit.default",
    "native_batch_norm.default",
    "_batch_norm_with_update.default",
)
def batch_norm_of_either_mode(at: Site, *arguments: Any) -> Any:
    """Forms that say themselves whether they train."""
    if at.node.target._schema.name.endswith("_with_update"):
        training, rest = True, arguments
    else:
        x, scale, bias, mean, var, training, momentum, epsilon = arguments[:8]
        rest = (x, scale, bias, mean, var, momentum, epsilon)
    if training or rest[3] is None:
        raise _training()
    out = batch_norm(at, *rest)
    return out if isinstance(at.node.meta["val"], tuple | list) else out[0]


@aten("_native_batch_norm_legit.no_stats", "_native_batch_norm_legit_functional.default", "cudnn_batch_norm.default")
def batch_norm_in_training(at: Site, *_: Any) -> Any:
    """Forms that exist in training only."""
    raise _training()


def _training() -> Unsupported:
    help = "call model.eval() before torch.export; a layer with track_running_stats=False has no statistics to use"
    return Unsupported("normalizes with the statistics of the batch", help, "training-mode")


@aten("layer_norm.default")
def layer_norm(
    at: Site, x: Value, shape: list[Any], scale: Value | None, bias: Value | None, epsilon: float, *_: Any
) -> Value:
    """Normalization over the last axes."""
    out: Value = at("nn.layer_norm", x, scale, bias, axis=-len(shape), epsilon=epsilon)
    return out


@aten("native_layer_norm.default")
def native_layer_norm(
    at: Site, x: Value, shape: list[Any], scale: Value | None, bias: Value | None, epsilon: float
) -> tuple[Value | None, ...]:
    """The same in core ATen; mean and deviation are given too."""
    return layer_norm(at, x, shape, scale, bias, epsilon), None, None


@aten("group_norm.default")
def group_norm(
    at: Site, x: Value, groups: int, scale: Value | None, bias: Value | None, epsilon: float, *_: Any
) -> Value:
    """Normalization over groups of channels."""
    out: Value = at("nn.group_norm", x, scale, bias, groups=groups, epsilon=epsilon)
    return out


@aten("native_group_norm.default")
def native_group_norm(
    at: Site, x: Value, scale: Value | None, bias: Value | None, n: Any, c: Any, hw: Any, groups: int, epsilon: float
) -> tuple[Value | None, ...]:
    """The same in core ATen; mean and deviation are given too."""
    return group_norm(at, x, groups, scale, bias, epsilon), None, None


@aten("instance_norm.default")
def instance_norm(
    at: Site,
    x: Value,
    scale: Value | None,
    bias: Value | None,
    mean: Value | None,
    var: Value | None,
    of_input: bool,
    momentum: float,
    epsilon: float,
    _: bool,
) -> Any:
    """Normalization of every channel by itself, or by running statistics where the layer tracks them."""
    if not of_input and mean is not None and var is not None:
        return batch_norm(at, x, scale, bias, mean, var, momentum, epsilon)[0]
    channels = x.type.shape[1]
    if not isinstance(channels, int):
        raise Unsupported("has a symbolic number of channels", "export with a fixed number of channels")
    return at("nn.group_norm", x, scale, bias, groups=channels, epsilon=epsilon)
