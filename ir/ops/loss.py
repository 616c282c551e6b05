"""`nn`: objectives. An output of a module with role=loss that such an op gives can be trained on."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.ir.elements import elem
from ranvier.ir.ops.checks import equal_elems, numbers, widest
from ranvier.ir.ops.reduce import log_softmax
from ranvier.ir.schema import operand
from ranvier.ir.timing import PureOp
from ranvier.ir.types import TensorType, Type, same_dim, show_shape


class CrossEntropy(PureOp, name="nn.cross_entropy"):
    """The mean over the samples of -log_softmax(logits)[label]. Logits are [N, C, ...], labels [N, ...]."""

    logits = operand("one number a class on axis 1")
    labels = operand("indices of classes, i64")

    def infer(self, logits: Any, labels: Any) -> Type:
        """See Op."""
        numbers(self, logits, integers=False)
        if labels.elem.is_float or labels.elem.quant is not None or labels.elem.bits < 8:
            raise self.fail("type-mismatch", f"needs integers as labels, not {labels.elem}", "core.cast to i64 before")
        if logits.rank < 2:
            raise self.fail("shape-mismatch", f"needs logits [N, C, ...], not {show_shape(logits.shape)}")
        want = (logits.shape[0], *logits.shape[2:])
        if labels.rank != len(want) or not all(map(same_dim, labels.shape, want)):
            raise self.fail("shape-mismatch", f"needs labels {show_shape(want)}, not {show_shape(labels.shape)}")
        return TensorType((), elem("f32"))

    def meaning(self, logits: Any, labels: Any) -> Any:
        """See Op."""
        labels = np.asarray(labels, np.int64)
        classes = np.shape(logits)[1]
        if labels.size and (labels.min() < 0 or labels.max() >= classes):
            raise self.fail("bad-input", f"was given labels {labels.min()}..{labels.max()} for {classes} classes")
        picked = np.take_along_axis(log_softmax(logits, 1), np.expand_dims(labels, 1), axis=1)
        return -np.mean(picked)


class Mse(PureOp, name="nn.mse"):
    """The mean of (prediction - target)^2 over all elements."""

    prediction = operand("what the network gives")
    target = operand("what it should give")

    def infer(self, prediction: Any, target: Any) -> Type:
        """See Op."""
        numbers(self, prediction, target, integers=False)
        equal_elems(self, prediction, target)
        a, b = prediction.shape, target.shape
        if len(a) != len(b) or not all(map(same_dim, a, b)):
            raise self.fail("shape-mismatch", f"compares {show_shape(a)} with {show_shape(b)}")
        return TensorType((), elem("f32"))

    def meaning(self, prediction: Any, target: Any) -> Any:
        """See Op."""
        return np.mean((widest(prediction) - widest(target)) ** 2)
