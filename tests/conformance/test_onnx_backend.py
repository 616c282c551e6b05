"""The node tests of onnx itself, in three bins: passed, refused by name, wrong or crashed. The last one is empty.

Many node tests hand over as data what is a parameter in any real model (axes, shapes, scales). When a test is refused
for that, its later inputs become constants and it is tried again; those are counted apart.
"""

import warnings
from collections import Counter
from functools import lru_cache

import numpy as np
import onnx
import pytest

from ranvier.frontends.onnx import OnnxFrontend, coverage
from ranvier.ir.diagnostics import RanvierError
from ranvier.ir.interpret import evaluate

# Of 1884 tests of onnx 1.23.2. A change that lowers them must say why.
PASSED = 1163
AS_DATA = 917
COMPUTED = ("computed from data", "of which one depends")
# The references compute in half precision, the meaning does not: the results differ by the last digits.
HALVES = {"float16": (2e-3, 1e-3), "bfloat16": (1.6e-2, 1e-3)}
TESTED = "1.23.2"

pytestmark = pytest.mark.slow


@lru_cache(maxsize=1)
def cases():
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some references divide by zero on purpose
        return load_model_tests(kind="node")


def array(x):
    return np.asarray(onnx.numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else x)


def with_constants(proto, arrays):
    """The model with its later inputs as constants, and the arrays that are left as inputs."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    kept = [k for k, x in enumerate(arrays) if (k == 0 and len(arrays) > 1) or (x.dtype.kind == "f" and x.ndim > 1)]
    infos = list(made.graph.input)
    del made.graph.input[:]
    for k, (info, x) in enumerate(zip(infos, arrays, strict=True)):
        if k in kept:
            made.graph.input.append(info)
        else:
            made.graph.initializer.append(onnx.numpy_helper.from_array(x, info.name))
    return made, [arrays[k] for k in kept]


def compare(case, proto, arrays, outputs):
    """Nothing, or an exception that says what is wrong."""
    found, _ = evaluate(OnnxFrontend().load(proto), arrays)
    assert len(found) == len(outputs)
    for have, want in zip(found, outputs, strict=True):
        assert have.shape == want.shape
        assert have.dtype == want.dtype
        rtol, atol = HALVES.get(want.dtype.name, (0, 0))
        if want.dtype.name in HALVES:
            have, want = have.astype(np.float64), want.astype(np.float64)
        np.testing.assert_allclose(have, want, rtol=max(case.rtol, rtol), atol=max(case.atol, atol))


def outcome(case):
    """`passed`, `passed with constants`, `refused`, or what is wrong."""
    for inputs, outputs in case.data_sets:
        try:
            arrays, wanted = [array(x) for x in inputs], [array(x) for x in outputs]
        except Exception:  # sequences, optionals, strings: their models are refused before data matter
            arrays, wanted = [], []
        try:
            compare(case, case.model, arrays, wanted)
            return "passed"
        except RanvierError as why:
            if not any(text in str(why) for text in COMPUTED):
                return "refused"
        except Exception as why:
            return f"{case.name}: {type(why).__name__} {' '.join(str(why).split())[:200]}"
        try:
            compare(case, *with_constants(case.model, arrays), wanted)
            return "passed with constants"
        except RanvierError:
            return "refused"
        except Exception as why:
            return f"{case.name} with constants: {type(why).__name__} {' '.join(str(why).split())[:200]}"
    return "refused"


@pytest.fixture(scope="module")
def outcomes():
    return {case.name: outcome(case) for case in cases()}


def test_nothing_is_wrong_or_crashes(outcomes):
    wrong = [o for o in outcomes.values() if o not in ("passed", "passed with constants", "refused")]
    assert wrong == []


@pytest.mark.skipif(not onnx.__version__.startswith(TESTED), reason=f"the count is of onnx {TESTED}")
def test_as_many_pass_as_before(outcomes):
    counted = Counter(outcomes.values())
    assert counted["passed"] >= AS_DATA
    assert counted["passed"] + counted["passed with constants"] >= PASSED


# Refused though every operator in them is declared: what the operator does there is not imported.
FORMS = {
    "another output": ("maxpool_with_argmax_2d",),
    "training": ("training_dropout", "batchnorm_example_training", "batchnorm_epsilon_training"),
    "resize": ("tf_crop_and_resize", "antialias", "exclude_outside", "half_pixel_symmetric", "_not_larger",
               "_not_smaller", "resize_downsample_scales_linear_align_corners",
               "resize_downsample_scales_cubic_align_corners"),
    "an axis without elements": ("empty_set",),
    "a mode of a newest opset": ("spacetodepth_crd",),
    "opsets below 7": ("not_2d", "not_3d", "not_4d"),
    "strings, sequences, optionals, narrow floats and integers": (
        "string", "sequence", "_opt", "seq", "FLOAT8", "FLOAT4", "INT4", "INT2", "e8m0"),
    "a length that is not known": ("range_", "loop11"),
    "made of an operator that is not declared": ("affine_grid",),
}  # fmt: skip


def test_what_is_declared_passes_but_for_forms_that_are_listed(outcomes):
    declared = {name for name, _ in coverage()}
    listed = [text for texts in FORMS.values() for text in texts]
    others = []
    for case in cases():
        used = {n.op_type for n in case.model.graph.node}
        if used <= declared and outcomes[case.name] == "refused" and not any(t in case.name for t in listed):
            others.append(case.name)
    assert others == []
