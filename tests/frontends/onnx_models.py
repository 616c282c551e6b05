"""Small ONNX models for tests, and onnxruntime as the judge of what they mean."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ranvier.frontends import find_frontend
from ranvier.ir.interpret import evaluate
from ranvier.ir.text.parser import parse_module

IR_VERSION = 10


def model(nodes, inputs, outputs, constants=None, opset=17, **rest):
    """A model of nodes. Inputs are name -> (shape, dtype) or name -> shape; outputs are names."""
    made = []
    for name, given in inputs.items():
        shape, dtype = (
            given if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str) else (given, "float32")
        )
        made.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape))
    results = [
        o if isinstance(o, onnx.ValueInfoProto) else helper.make_value_info(o, onnx.TypeProto()) for o in outputs
    ]
    graph = helper.make_graph(
        nodes, "g", made, results, [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION, **rest)


def node(op, inputs, outputs, **attributes):
    """A node; inputs and outputs are names separated by blanks, `_` for one that is left out."""
    split = [["" if name == "_" else name for name in names.split()] for names in (inputs, outputs)]
    return helper.make_node(op, *split, **attributes)


def single(op, arrays, outputs=1, constants=(), opset=17, dims=None, **attributes):
    """A model of one node on arrays; those at the positions in `constants` become initializers, None is left out."""
    names = [f"i{k}" if a is not None else "_" for k, a in enumerate(arrays)]
    inputs = {
        f"i{k}": (list((dims or {}).get(k, np.shape(a))), str(np.asarray(a).dtype))
        for k, a in enumerate(arrays)
        if a is not None and k not in constants
    }
    held = {f"i{k}": a for k, a in enumerate(arrays) if a is not None and k in constants}
    results = [f"o{k}" for k in range(outputs)]
    return model([node(op, " ".join(names), " ".join(results), **attributes)], inputs, results, held, opset)


def run_ort(proto, arrays):
    """What onnxruntime gives."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return session.run(None, dict(zip(names, map(np.asarray, arrays), strict=True)))


def load(proto):
    """The module of a model."""
    return find_frontend(proto).load(proto)


def agree(proto, arrays, tolerance=1e-4):
    """Import a model, print and parse it, compare its meaning with onnxruntime; returns the module."""
    module = load(proto)
    assert parse_module(str(module), resources=module.resources) == module
    found, _ = evaluate(module, arrays)
    want = run_ort(proto, arrays)
    assert len(found) == len(want)
    for have, value in zip(found, want, strict=True):
        assert have.dtype == value.dtype
        assert have.shape == value.shape
        scale = (
            max(1.0, float(np.abs(value).max()))
            if value.size and value.dtype.kind == "f" and np.isfinite(value).all()
            else 1.0
        )
        np.testing.assert_allclose(have, value, rtol=1e-4, atol=tolerance * scale)
    return module


def data(*shape, seed=0, dtype="float32", low=-2.0, high=2.0):
    """Random numbers."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(dtype)


def ops(module, graph="main"):
    """Names of the ops of a graph without the return."""
    return [op.name for op in module.graph(graph).ops if op.name != "core.return"]


__all__ = ["TensorProto", "agree", "data", "helper", "load", "model", "node", "ops", "run_ort", "single"]
