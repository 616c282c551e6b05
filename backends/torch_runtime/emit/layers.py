"""`nn` convolutions, matrix products, pools, normalisations, resize.

Reals run in their own type. Integers narrow enough that float64 holds every sum run there; wider ones by meaning.
"""

from __future__ import annotations

from typing import Any

from ranvier.backends.torch_runtime.emit.registry import pure
from ranvier.backends.torch_runtime.scaling import scaled_weight, takes_scale
from ranvier.ir.core import Op, Value
from ranvier.ir.elements import Elem

PLANE, SPATIAL = 2, 3


def _narrow(element: Elem) -> bool:
    return element.storage in ("i8", "u8", "i16", "f16", "bf16", "f32", "f64")


def _weight(w: Any, value: Value, name: str, rank: int) -> str:
    """Convolution weights lie channels-last where no gradient is wanted: activations then do so, too."""
    if value.resource is not None and not w.mode.grad and rank == PLANE and value.type.elem.is_float:
        return w.constants.resource(value.resource, "channels_last")  # type: ignore[no-any-return]
    return name


def _through_double(op: Op, w: Any, text: Any, args: tuple[str | None, ...]) -> str:
    """A product of integers, exactly, in float64."""
    doubles = [None if a is None else f"{a}.to(torch.float64)" for a in args]
    return w.cast(f"{text(*doubles)}.to(torch.int64)", op.result)  # type: ignore[no-any-return]


@pure("nn.conv")
def conv(op: Op, w: Any, x: str, weight: str, bias: str | None) -> str | None:
    """F.conv1d to F.conv3d."""
    assert op.operands[1] is not None
    n = op.result.type.rank - 2
    if n > SPATIAL or not _narrow(op.result.type.elem):
        return None
    bias = w.bias(op, bias)
    a = op.attributes
    ones = (1,) * n
    padding = a["padding"] or (0,) * (2 * n)
    before, after = padding[:n], padding[n:]

    def text(x: str, weight: str, bias: str | None) -> str:
        pads, inner = before, x
        if before != after:
            pairs = tuple(p for b, e in zip(reversed(before), reversed(after), strict=True) for p in (b, e))
            inner, pads = f"F.pad({x}, {pairs})", (0,) * n
        options = f"{a['strides'] or ones}, {pads}, {a['dilations'] or ones}, {a['groups']}"
        return f"F.conv{n}d({inner}, {weight}, {bias}, {options})"

    if not op.result.type.elem.is_float:
        return _through_double(op, w, text, (x, weight, bias))
    scaled = w.scaled.get(op.operands[0]) if w.stage is not None else None
    if scaled is not None and takes_scale(op, 0, op.arguments[0], w):
        return text(scaled.name, scaled_weight(op, scaled, w, "channels_last" if n == PLANE else ""), bias)
    return text(x, _weight(w, op.operands[1], weight, n), bias)


@pure("nn.conv_transpose")
def conv_transpose(op: Op, w: Any, x: str, weight: str, bias: str | None) -> str | None:
    """F.conv_transpose1d to 3d without padding, then cut: padding may differ at both ends."""
    assert op.operands[1] is not None
    n = op.result.type.rank - 2
    if n > SPATIAL or not _narrow(op.result.type.elem):
        return None
    bias = w.bias(op, bias)
    a = op.attributes
    ones, zeros = (1,) * n, (0,) * n
    padding, more = a["padding"] or zeros * 2, a["output_padding"] or zeros
    before, after = padding[:n], padding[n:]
    pairs = tuple(
        p for b, e, m in zip(reversed(before), reversed(after), reversed(more), strict=True) for p in (-b, m - e)
    )

    def text(x: str, weight: str, bias: str | None) -> str:
        options = f"{a['groups']}, {a['dilations'] or ones}"
        # rows more at the end hold what the kernel reaches there, else the bias alone
        full = f"F.conv_transpose{n}d({x}, {weight}, None, {a['strides'] or ones}, {zeros}, {zeros}, {options})"
        cut = f"F.pad({full}, {pairs})" if any(pairs) else full
        return cut if bias is None else f"({cut} + {bias}.reshape({(-1, *ones)}))"

    if not op.result.type.elem.is_float:
        return _through_double(op, w, text, (x, weight, bias))
    return text(x, weight, bias)


@pure("nn.linear")
def linear(op: Op, w: Any, x: str, weight: str, bias: str | None) -> str | None:
    """F.linear."""
    if not _narrow(op.result.type.elem):
        return None
    bias = w.bias(op, bias)

    def text(x: str, weight: str, bias: str | None) -> str:
        return f"F.linear({x}, {weight}{'' if bias is None else ', ' + bias})"

    scaled = w.scaled.get(op.operands[0]) if w.stage is not None else None
    if scaled is not None and takes_scale(op, 0, op.arguments[0], w):
        weight, x = scaled_weight(op, scaled, w, ""), scaled.name
    return text(x, weight, bias) if op.result.type.elem.is_float else _through_double(op, w, text, (x, weight, bias))


@pure("nn.matmul")
def matmul(op: Op, w: Any, a: str, b: str) -> str | None:
    """torch.matmul."""
    if not _narrow(op.result.type.elem):
        return None

    def text(a: str, b: str) -> str:
        return f"torch.matmul({a}, {b})"

    return text(a, b) if op.result.type.elem.is_float else _through_double(op, w, text, (a, b))


@pure("nn.max_pool")
def max_pool(op: Op, w: Any, x: str) -> str | None:
    """F.max_pool where the padding is even and short enough, else after padding with -inf."""
    n = op.result.type.rank - 2
    if not op.result.type.elem.is_float and op.result.type.elem.dtype.itemsize <= 2:
        exact = _max_pool(op, w, f"{x}.to(torch.float32)", n)
        return None if exact is None else w.cast(exact, op.result)
    return _max_pool(op, w, x, n) if op.result.type.elem.is_float else None


def _max_pool(op: Op, w: Any, x: str, n: int) -> str | None:
    if n > SPATIAL:
        return None
    a = op.attributes
    ones, zeros = (1,) * n, (0,) * n
    padding = a["padding"] or zeros * 2
    before, after = padding[:n], padding[n:]
    plain = before == after and all(2 * p <= k for p, k in zip(before, a["kernel"], strict=True))
    if plain:
        options = f"{a['strides'] or ones}, {before}, {a['dilations'] or ones}, {a['ceil_mode']}"
        return f"F.max_pool{n}d({x}, {a['kernel']}, {options})"
    return f"K.max_pool({x}, {w.bind(op, 'pool')})"


@pure("nn.avg_pool")
def avg_pool(op: Op, w: Any, x: str) -> str | None:
    """F.avg_pool where it counts as the op does, else sums over windows by the op's own counts."""
    n = op.result.type.rank - 2
    if n > SPATIAL:
        return None
    a = op.attributes
    ones, zeros = (1,) * n, (0,) * n
    padding = a["padding"] or zeros * 2
    before, after = padding[:n], padding[n:]
    even = before == after and all(2 * p <= k for p, k in zip(before, a["kernel"], strict=True))
    if even and not a["ceil_mode"] and all(d == 1 for d in a["dilations"]):
        return f"F.avg_pool{n}d({x}, {a['kernel']}, {a['strides'] or ones}, {before}, False, {a['count_include_pad']})"
    return f"K.avg_pool({x}, {w.bind(op, 'pool')})"


@pure("nn.batch_norm")
def batch_norm(op: Op, w: Any, x: str, scale: str, bias: str, mean: str, var: str) -> str:
    """Statistics are given."""
    return f"F.batch_norm({x}, {mean}, {var}, {scale}, {bias}, False, 0.0, {op.attributes['epsilon']!r})"


@pure("nn.layer_norm")
def layer_norm(op: Op, w: Any, x: str, scale: str | None, bias: str | None) -> str:
    """F.layer_norm over the last axes."""
    axis = op.attributes["axis"] % op.result.type.rank
    text = f"F.layer_norm({x}, tuple({x}.shape[{axis}:]), None, None, {op.attributes['epsilon']!r})"
    text += "" if scale is None else f" * {scale}"
    return text + ("" if bias is None else f" + {bias}")


@pure("nn.group_norm")
def group_norm(op: Op, w: Any, x: str, scale: str | None, bias: str | None) -> str:
    """Groups of channels with their spatial axes."""
    return f"K.group_norm({x}, {op.attributes['groups']}, {scale}, {bias}, {op.attributes['epsilon']!r})"


@pure("nn.resize")
def resize(op: Op, w: Any, x: str) -> str:
    """Axis by axis, with the op's own points and weights."""
    return f"K.resize({x}, {w.bind(op, 'resize')})"
