"""What an import keeps: names, lines, weights, inputs and outputs; and what it leaves as it was."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ranvier.frontends import find_frontend
from ranvier.frontends.torch_export import TorchFrontend
from ranvier.ir.facts import Note
from ranvier.ir.interpret import evaluate
from ranvier.ir.locations import FileLoc, NodeLoc


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.bn = nn.BatchNorm2d(3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.act(self.bn(self.conv(x)))  # line of the block
        return y + x  # line of the sum


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(Block(), Block())
        self.head = nn.Linear(3, 2)

    def forward(self, image):
        x = self.layer1(image)
        return self.head(x.mean((2, 3)))  # line of the head


def lines_with(text):
    """Numbers of the lines of this file that end in a text."""
    with open(__file__) as source:
        return {i for i, line in enumerate(source, 1) if line.rstrip().endswith(text)}


def load(model, *inputs):
    return find_frontend(model).load(model.eval(), inputs)


IMAGE = torch.randn(2, 3, 8, 8)


def test_values_are_named_by_module_path():
    names = [value.name for value in load(Net(), IMAGE).main.values]
    block = ["layer1_{}_conv", "layer1_{}_bn", "layer1_{}_act", "layer1_{}_add"]
    assert names == ["image", *(n.format(i) for i in (0, 1) for n in block), "mean", "head"]


def test_resources_bear_the_parameters_names():
    module, state = load(Net(), IMAGE), Net().state_dict()
    assert set(module.resources) == {key for key in state if "num_batches" not in key}
    assert str(module.resources["layer1.1.bn.running_var"].type) == "tensor<3xf32>"


def test_locations_are_lines_of_this_file():
    ops = {op.results[0].name: op for op in load(Net(), IMAGE).main.ops if op.results}
    for name, text in {
        "layer1_0_conv": "# line of the block",
        "layer1_1_act": "# line of the block",
        "layer1_1_add": "# line of the sum",
        "head": "# line of the head",
    }.items():
        place = ops[name].location
        assert isinstance(place, FileLoc)
        assert place.file == __file__
        assert {place.line} == lines_with(text)


def test_a_program_without_lines_names_the_nodes():
    program = torch.export.export(nn.Sequential(nn.Linear(3, 2)), (torch.randn(2, 3),))
    op = next(TorchFrontend().load(program).main.ops)
    assert op.location == NodeLoc("the exported program", "0")


def test_shared_parameters_are_one_resource():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    module = load(Tied(), torch.randn(2, 4))
    assert set(module.resources) == {"first.weight", "first.bias", "second.bias"}
    assert len(module.main.constant("first.weight").uses) == 2


def test_the_module_stays_what_it_is_while_the_model_trains_on():
    model = nn.Linear(3, 2)
    module = load(model, torch.randn(2, 3))
    before = module.resources["weight"].array.copy()
    with torch.no_grad():
        model.weight.add_(1)
    np.testing.assert_array_equal(module.resources["weight"].array, before)
    assert not module.resources["weight"].array.flags.writeable


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(Net(), nn.Dropout()).train()
    model[0].layer1[0].bn.eval()
    modes = [m.training for m in model.modules()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    found = TorchFrontend().load(model, IMAGE)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    want = model.eval()(IMAGE).detach().numpy()
    np.testing.assert_allclose(evaluate(found, [IMAGE.numpy()])[0][0], want, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "float16"])
def test_other_element_types(dtype):
    kind = getattr(torch, dtype)
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).to(kind)
    module = load(model, torch.randn(2, 3, dtype=kind))
    short = {"bfloat16": "bf16", "float64": "f64", "float16": "f16"}[dtype]
    assert str(module.main.outputs[0].type) == f"tensor<Nx2x{short}>"
    want = model[0].weight.detach().double().numpy()
    np.testing.assert_array_equal(module.resources["0.weight"].array.astype(np.float64), want)


class Outputs(nn.Module):
    def __init__(self, give):
        super().__init__()
        self.give = give

    def forward(self, x):
        return self.give(x)


@pytest.mark.parametrize(
    ("give", "names"),
    [
        (lambda x: x.relu(), ("relu",)),
        (lambda x: (x.relu(), (x.exp(), [x.neg()])), ("relu", "exp", "neg")),
        (lambda x: {"logits": x.relu(), "features": [x.exp(), x.neg()]}, ("logits", "features_0", "features_1")),
        (lambda x: (x.relu(), {"aux": x.exp()}), ("relu", "aux")),
        (lambda x: (x.relu(),) * 2, ("relu", "relu_2")),
        (lambda x: x, ("x",)),
    ],
)
def test_outputs_are_flattened_in_order(give, names):
    module = load(Outputs(give), torch.randn(2, 3))
    assert module.main.terminator.attributes["names"] == names
    x = torch.randn(5, 3)
    for have, want in zip(evaluate(module, [x.numpy()])[0], torch.utils._pytree.tree_leaves(give(x)), strict=True):
        np.testing.assert_allclose(have, want.numpy(), rtol=1e-6)


def test_an_output_that_is_none_is_noted():
    module = load(Outputs(lambda x: (x.relu(), None)), torch.randn(2, 3))
    assert len(module.main.outputs) == 1
    assert module.facts == (Note("the output 1 is None and was left out"),)


def test_a_batch_that_cannot_vary_is_noted():
    module = load(Outputs(lambda x: x * torch.arange(2.0)[:, None]), torch.randn(2, 3))
    assert str(module.main.args[0].type) == "tensor<2x3xf32>"
    (note,) = module.facts
    assert note.text.startswith("the batch is fixed at 2; of a dynamic batch torch.export says: ")
    assert "specialized it to be a constant (2)" in note.text


def test_inputs_are_positional_and_named():
    class Several(nn.Module):
        def forward(self, left, right, *more):
            return left - right + more[0]

    module = load(Several(), *torch.randn(3, 2, 4))
    assert [a.name for a in module.main.args] == ["left", "right", "more_0"]
    x, y, z = torch.randn(3, 5, 4).numpy()
    np.testing.assert_allclose(evaluate(module, [x, y, z])[0][0], x - y + z, rtol=1e-6)


def test_further_symbols_of_a_program():
    dims = {0: torch.export.Dim("batch"), 2: torch.export.Dim("length")}
    model = nn.Conv1d(2, 3, 3, padding=1)
    program = torch.export.export(model, (torch.randn(2, 2, 8),), dynamic_shapes=(dims,))
    module = find_frontend(program).load(program)
    assert str(module.main.args[0].type) == "tensor<Nx2xD1xf32>"
    x = torch.randn(3, 2, 11)
    np.testing.assert_allclose(evaluate(module, [x.numpy()])[0][0], model(x).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("decomposed", [False, True])
def test_pt2_files(tmp_path, decomposed):
    model = nn.Sequential(Net(), nn.Hardswish(), nn.ELU(), nn.SELU(), nn.CELU(0.5), nn.ReLU6(), nn.Softmax(1)).eval()
    program = torch.export.export(model, (IMAGE,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    path = tmp_path / "net.pt2"
    torch.export.save(program.run_decompositions() if decomposed else program, path)
    module = find_frontend(path).load(path)
    assert module.name == "net"
    x = torch.randn(5, 3, 8, 8)
    np.testing.assert_allclose(evaluate(module, [x.numpy()])[0][0], model(x).detach().numpy(), atol=1e-5)
    ops = {op.results[0].name: op for op in module.main.ops if op.results}
    assert {op.location.line for name, op in ops.items() if name == "0_layer1_0_conv"} == lines_with(
        "line of the block"
    )
    head = ops["0_head"]
    assert head.name == "nn.linear"
    assert head.operands[1].resource == "0.head.weight"


def test_a_pt2_file_gives_the_module_that_its_program_gives(tmp_path):
    program = torch.export.export(Net().eval(), (IMAGE,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    direct, stored = TorchFrontend().load(program), TorchFrontend().load(path)
    direct.name = stored.name
    assert direct == stored


def test_importing_the_frontends_loads_no_torch():
    code = (
        "import sys, ranvier.frontends as f\n"
        "from ranvier.frontends.torch_export import TorchFrontend\n"
        "assert TorchFrontend().accepts('x.pt2') and not TorchFrontend().accepts('x.onnx')\n"
        "assert not TorchFrontend().accepts(object())\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lstm_is_unrolled():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 4, batch_first=True)

        def forward(self, x):
            return self.lstm(x)[0]

    model = Last()
    module = load(model, torch.randn(2, 5, 3))
    x = torch.randn(3, 5, 3)
    np.testing.assert_allclose(evaluate(module, [x.numpy()])[0][0], model(x).detach().numpy(), atol=1e-5)


def test_relu_twice_by_one_module_keeps_both_names():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(F.tanh(self.relu(x)))

    names = [value.name for value in load(Twice(), torch.randn(2, 3)).main.values]
    assert names == ["x", "relu", "tanh", "relu_2"]
