"""Cases of convolutions, products, pools, normalisations and resize."""

from __future__ import annotations

from ranvier.ir.ops import nn
from tests.op_cases.base import Cases, Draw, case, value, weight


def nn_cases() -> Cases:
    """Convolution to resize."""
    yield from _conv()
    yield from _transposed()
    yield from _products()
    yield from _pools()
    yield from _norms()
    yield from _resize()


def _conv() -> Cases:
    d = Draw("conv")
    x = value(d.real(3, 4, 7, 6), batch=True)
    same = {"padding": (1, 1, 1, 1)}
    yield case("same", nn.Conv, x, weight(d.real(5, 4, 3, 3)), weight(d.real(5)), **same)
    yield case("stride", nn.Conv, x, weight(d.real(5, 4, 3, 2)), strides=(2, 1), padding=(0, 1, 1, 0))
    yield case("depthwise", nn.Conv, x, weight(d.real(8, 1, 3, 3)), groups=4, **same)
    yield case("groups", nn.Conv, x, weight(d.real(6, 2, 1, 1)), weight(d.real(6)), groups=2)
    yield case("dilated", nn.Conv, x, weight(d.real(5, 4, 2, 3)), dilations=(3, 2), padding=(2, 2, 1, 2))
    yield case("line", nn.Conv, value(d.real(2, 3, 9)), value(d.real(4, 3, 4)), value(d.real(4)), strides=(3,))
    yield case(
        "volume", nn.Conv, value(d.real(2, 2, 4, 5, 3)), weight(d.real(3, 2, 2, 3, 1)), padding=(0, 1, 0, 0, 1, 0)
    )
    timed = value(d.dyadic(4, 3, 2, 5, 5), time=True, batch=True)
    yield case("timed", nn.Conv, timed, weight(d.dyadic(4, 2, 3, 3)), weight(d.dyadic(4)), exact=True, **same)
    yield case(
        "integers", nn.Conv, value(d.ints(2, 2, 5, 5)), weight(d.ints(3, 2, 3, 3)), weight(d.ints(3)), exact=True
    )


def _transposed() -> Cases:
    d = Draw("conv_transpose")
    x = value(d.real(3, 4, 5, 4), batch=True)
    yield case("upsample", nn.ConvTranspose, x, weight(d.real(4, 2, 2, 2)), weight(d.real(2)), strides=(2, 2))
    odd = {"strides": (2, 3), "padding": (1, 0, 0, 2), "output_padding": (1, 2)}
    yield case("odd", nn.ConvTranspose, x, weight(d.real(4, 3, 3, 4)), **odd)
    yield case(
        "groups", nn.ConvTranspose, x, weight(d.real(4, 3, 3, 3)), weight(d.real(6)), groups=2, padding=(1, 1, 1, 1)
    )
    yield case("dilated", nn.ConvTranspose, x, weight(d.real(4, 2, 2, 3)), dilations=(2, 3), strides=(1, 2))
    yield case("line", nn.ConvTranspose, value(d.real(2, 3, 6)), value(d.real(3, 2, 5)), strides=(2,), padding=(2, 2))
    timed = value(d.dyadic(4, 3, 2, 3, 3), time=True, batch=True)
    yield case("timed", nn.ConvTranspose, timed, weight(d.dyadic(2, 3, 2, 2)), strides=(2, 2), exact=True)


def _products() -> Cases:
    d = Draw("products")
    yield case("bias", nn.Linear, value(d.real(3, 6), batch=True), weight(d.real(4, 6)), weight(d.real(4)))
    yield case("tokens", nn.Linear, value(d.real(3, 5, 6), batch=True), weight(d.real(4, 6)))
    yield case(
        "timed", nn.Linear, value(d.dyadic(4, 3, 6), time=True), weight(d.dyadic(4, 6)), weight(d.dyadic(4)), exact=True
    )
    yield case("vector", nn.Linear, value(d.real(6)), value(d.real(4, 6)))
    yield case("integers", nn.Linear, value(d.ints(3, 6)), weight(d.ints(4, 6)), exact=True)
    yield case("plain", nn.Matmul, value(d.real(3, 6), batch=True), weight(d.real(6, 4)))
    yield case("heads", nn.Matmul, value(d.real(3, 2, 5, 6), batch=True), value(d.real(3, 2, 6, 4), batch=True))
    yield case("spread", nn.Matmul, value(d.real(2, 1, 5, 6)), weight(d.real(3, 6, 4)))
    yield case("vectors", nn.Matmul, value(d.real(6)), value(d.real(6)))
    yield case("vector_left", nn.Matmul, value(d.real(6)), value(d.real(2, 6, 3)))
    yield case("vector_right", nn.Matmul, value(d.real(2, 5, 6)), value(d.real(6)))
    yield case("timed", nn.Matmul, value(d.dyadic(4, 3, 6), time=True), weight(d.dyadic(6, 2)), exact=True)


def _pools() -> Cases:
    for op in (nn.MaxPool, nn.AvgPool):
        d = Draw(op.name)
        exact = op is nn.MaxPool
        x = value(d.real(3, 2, 7, 6), batch=True)
        yield case("halve", op, x, kernel=(2, 2), strides=(2, 2), exact=exact)
        yield case("padded", op, x, kernel=(3, 3), strides=(2, 1), padding=(1, 1, 1, 1), exact=exact)
        yield case("uneven", op, x, kernel=(3, 2), padding=(0, 1, 2, 0), exact=exact)
        yield case("ceil", op, x, kernel=(3, 2), strides=(3, 3), padding=(1, 0, 1, 0), ceil_mode=True, exact=exact)
        yield case("dilated", op, x, kernel=(2, 3), dilations=(3, 2), padding=(1, 1, 1, 1), exact=exact)
        yield case("line", op, value(d.real(2, 3, 9)), kernel=(4,), strides=(2,), exact=exact)
        yield case("volume", op, value(d.real(2, 2, 4, 5, 3)), kernel=(2, 2, 3), exact=exact)
        yield case(
            "timed",
            op,
            value(d.dyadic(4, 3, 2, 4, 4), time=True, batch=True),
            kernel=(2, 2),
            strides=(2, 2),
            exact=True,
        )
    d = Draw("more pools")
    yield case("integers", nn.MaxPool, value(d.ints(2, 2, 5, 5)), kernel=(3, 3), padding=(1, 1, 1, 1), exact=True)
    x = value(d.real(3, 2, 7, 6), batch=True)
    pad = {"kernel": (3, 3), "padding": (1, 1, 1, 1), "count_include_pad": True}
    yield case("count_pad", nn.AvgPool, x, strides=(2, 2), **pad)
    yield case("count_pad_ceil", nn.AvgPool, x, strides=(3, 2), ceil_mode=True, **pad)


def _norms() -> Cases:
    d = Draw("norms")

    def channels(n: int) -> list[object]:
        return [weight(d.real(n)), weight(d.real(n)), weight(d.real(n)), weight(d.positive(n))]

    x = value(d.real(3, 4, 5, 2), batch=True)
    yield case("images", nn.BatchNorm, x, *channels(4))
    yield case("flat", nn.BatchNorm, value(d.real(3, 6), batch=True), *channels(6), epsilon=1e-3)
    yield case("timed", nn.BatchNorm, value(d.real(4, 3, 6), time=True), *channels(6))
    # statistics of their own at every step, as in BNTT
    bntt = [value(d.positive(4, 6), time=True, constant=True) for _ in range(4)]
    yield case("bntt", nn.BatchNorm, value(d.real(4, 3, 6), time=True), *bntt)
    yield case("last", nn.LayerNorm, x, weight(d.real(2)), weight(d.real(2)))
    yield case("three", nn.LayerNorm, x, weight(d.real(4, 5, 2)), None, axis=1)
    yield case("bare", nn.LayerNorm, x, axis=-2, epsilon=1e-3)
    yield case("timed", nn.LayerNorm, value(d.real(4, 3, 6), time=True), None, weight(d.real(6)))
    yield case("groups", nn.GroupNorm, x, weight(d.real(4)), weight(d.real(4)), groups=2)
    yield case("instance", nn.GroupNorm, x, groups=4)
    yield case("layer", nn.GroupNorm, x, weight(d.real(4)), groups=1, epsilon=1e-3)
    yield case("timed", nn.GroupNorm, value(d.real(4, 3, 6), time=True), weight(d.real(6)), weight(d.real(6)), groups=3)


def _resize() -> Cases:
    d = Draw("resize")
    x = value(d.real(3, 2, 4, 5), batch=True)
    coordinates = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
    for where in coordinates:
        for mode in ("nearest", "linear", "cubic"):
            yield case(f"{mode}_{where}", nn.Resize, x, scales=(1, 1, 2, 2), mode=mode, coordinates=where)
        yield case(f"down_{where}", nn.Resize, x, scales=(1, 1, 0.5, 0.75), mode="linear", coordinates=where)
        yield case(f"sizes_{where}", nn.Resize, x, sizes=("N", 2, 7, 3), mode="linear", coordinates=where)
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        yield case(rounding, nn.Resize, x, scales=(1, 1, 1.5, 2), rounding=rounding, exact=True)
        down = {"scales": (1, 1, 0.5, 0.5), "coordinates": "asymmetric"}
        yield case(f"{rounding}_down", nn.Resize, x, rounding=rounding, exact=True, **down)
    yield case("cubic_a", nn.Resize, x, sizes=("N", 2, 8, 9), mode="cubic", cubic_a=-0.5)
    yield case("line", nn.Resize, value(d.real(2, 3, 6)), scales=(1, 1, 2), mode="linear")
    yield case("timed", nn.Resize, value(d.real(4, 3, 2, 3), time=True), sizes=(3, 2, 6), mode="linear")
    yield case(
        "integers",
        nn.Resize,
        value(d.ints(2, 2, 3, 3)),
        scales=(1, 1, 2, 2),
        coordinates="asymmetric",
        rounding="floor",
        exact=True,
    )
