"""Every error that a user can make with a PyTorch model: name, place, remedy, nothing on standard error."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ranvier.frontends import find_frontend
from ranvier.ir.diagnostics import RanvierError


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def failure(model, example=None):
    """The message of the error, with this file's own lines as `here:text of the line`."""
    with pytest.raises(RanvierError) as caught:
        find_frontend(model).load(model, example)
    assert caught.value.__cause__ is None
    with open(__file__) as source:
        lines = source.read().splitlines()
    return re.sub(re.escape(__file__) + r":(\d+)", lambda m: f"here: {lines[int(m[1]) - 1].strip()}", str(caught.value))


X = torch.randn(2, 3, 4)


def test_no_example():
    assert failure(nn.Linear(3, 2)) == (
        "error[missing-example]: Linear is a torch.nn.Module and cannot be read without an example input\n"
        "  help: give example=: an array or tensor as the model takes it, or a tuple of them"
    )


def test_an_example_that_is_no_array():
    assert failure(nn.Linear(3, 2), "images").startswith(
        "error[bad-example]: the example input of Linear is not made of arrays: "
    )


def test_an_example_of_a_wrong_shape(capfd):
    class Wrong(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 2)

        def forward(self, x):
            return self.fc(x)

    assert failure(Wrong(), torch.randn(2, 3)) == (
        "error[bad-example]: Wrong fails on the example input float32[2, 3]: "
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x2)\n"
        "  --> here: return self.fc(x)\n"
        "  help: give an example of the shape and type that the model takes, batch first"
    )
    assert capfd.readouterr() == ("", "")


def test_an_example_of_a_wrong_type():
    assert failure(nn.Linear(3, 2), np.ones((2, 3))).startswith(
        "error[bad-example]: Linear fails on the example input float64[2, 3]: "
    )


def test_too_many_inputs():
    assert failure(nn.Linear(3, 2), (torch.ones(2, 3), torch.ones(2))).startswith(
        "error[bad-example]: Linear fails on the example input float32[2, 3], float32[2]: "
        "Linear.forward() takes 2 positional arguments but 3 were given"
    )


def test_control_flow_on_values(capfd):
    class Branch(nn.Module):
        def forward(self, x):
            if x.sum() > 0:  # depends on the values
                return x
            return -x

    message = failure(Branch(), X)
    assert message.startswith(
        "error[export-failed]: torch.export cannot trace Branch: Could not guard on data-dependent"
    )
    assert "--> here: if x.sum() > 0:  # depends on the values" in message
    assert message.endswith(
        "help: replace control flow on tensor values by torch.where or torch.cond, "
        "or export the model yourself and give the torch.export.ExportedProgram"
    )
    assert capfd.readouterr() == ("", "")


def test_all_unsupported_ops_at_once():
    class Odd(nn.Module):
        def forward(self, x):
            a = x.sort(1)[0]  # first sort
            b = torch.cdist(x, x)  # distance
            return a.sort(2)[0], b.relu(), F.adaptive_avg_pool1d(x, 3)  # second sort

    assert failure(Odd(), X) == (
        "error[unsupported-op]: `aten.sort.default` is not imported (2 times)\n"
        "  --> here: a = x.sort(1)[0]  # first sort\n"
        "  note: also at here: return a.sort(2)[0], b.relu(), F.adaptive_avg_pool1d(x, 3)  # second sort\n"
        "  help: write this part of the model with other ops\n"
        "error[unsupported-op]: `aten._cdist_forward.default` is not imported\n"
        "  --> here: b = torch.cdist(x, x)  # distance\n"
        "  help: write this part of the model with other ops\n"
        "error[unsupported-op]: `aten.adaptive_avg_pool1d.default` from [4] to [3] is not imported\n"
        "  --> here: return a.sort(2)[0], b.relu(), F.adaptive_avg_pool1d(x, 3)  # second sort\n"
        "  help: only sizes that divide the input's are, and 1"
    )


FORMS = {
    "batch size as a number": (lambda x: x / x.shape[0], "`aten.div.Tensor` computes with the batch size"),
    "mask": (lambda x: x[x > 0], "`aten.index.Tensor` by a mask has a result of unknown size"),
    "random": (lambda x: x + torch.rand_like(x), "`aten.rand_like.default` is not imported"),
    "complex": (lambda x: torch.complex(x, x).abs(), "`aten.complex.default` is not imported"),
    "indices of pooling": (
        lambda x: F.max_pool2d(x[:, None], 2, return_indices=True),
        "`aten.getitem` takes result 1 of max_pool2d_with_indices.default, which is not imported",
    ),
    "a number": (lambda x: (x, 3), "output 1 is no tensor but a number"),
    "the input": (lambda x: x.add_(1), "input x is changed in place by the model"),
    "divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), "`aten.avg_pool2d.default` with divisor_override"),
    "argmax of all": (lambda x: x.argmax(), "`aten.argmax.default` over all axes is not imported"),
    "two indices": (lambda x: x[:, [0, 1], [1, 0]], "`aten.index.Tensor` with indices on several axes"),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_are_not_imported(name):
    function, message = FORMS[name]
    found = failure(Function(function), X)
    assert found.startswith(f"error[unsupported-op]: {message}")
    assert "help: " in found


def test_state():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x):
            self.count += 1
            return x + self.count

    assert failure(Counter(), X) == (
        "error[unsupported-op]: buffer count is written while the model runs\n"
        "  help: an imported module has no state: pass it in and give it back"
    )


def test_a_program_in_training_mode():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout()).train()
    with pytest.raises(RanvierError) as caught:
        find_frontend(model).load(torch.export.export(model, (torch.randn(2, 4),)))
    messages = [f"{d.code}: {d.message}" for d in caught.value.diagnostics]
    assert messages == [
        "training-mode: layer 1 updates its statistics",
        "training-mode: `aten._native_batch_norm_legit_functional.default` normalizes with the statistics of the batch",
        "training-mode: `aten.native_dropout.default` drops at random",
    ]
    assert all("call model.eval() before torch.export" in d.help for d in caught.value.diagnostics)


def test_a_normalization_without_statistics():
    message = failure(nn.BatchNorm1d(3, track_running_stats=False), torch.randn(2, 3))
    assert message.startswith("error[training-mode]: ")
    assert "normalizes with the statistics of the batch" in message


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(nn.Linear(3, 2), (torch.randn(2, 3),)), path)
    return path


def test_a_missing_file(saved):
    message = failure(saved.with_name("nett.pt2"))
    assert message == (
        f"error[missing-file]: there is no such file\n  --> {saved.with_name('nett.pt2')}\n"
        f"  help: did you mean `{saved}`?"
    )


def damaged(path, change):
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data))
    return failure(path)


@pytest.mark.parametrize("change", [lambda d: b"", lambda d: b"not a program", lambda d: d[: len(d) // 2]])
def test_a_file_that_is_no_program(saved, change, capfd):
    message = damaged(saved, change)
    assert message.startswith(f"error[damaged-file]: this is no program that torch {torch.__version__} can read: ")
    assert f"--> {saved}\n" in message
    assert message.endswith("help: write it with torch.export.save(torch.export.export(model, example), path)")
    assert capfd.readouterr() == ("", "")


def test_a_flipped_byte_in_the_weights(saved):
    weight = torch.export.load(saved).state_dict["weight"].detach().numpy().tobytes()

    def flip(data):
        data[data.index(weight)] ^= 1
        return data

    assert "the checksum of net/data/weights/weight_0 is wrong" in damaged(saved, flip)
