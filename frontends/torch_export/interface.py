"""What goes in and out of an exported program: inputs, parameters and buffers by name, outputs with their labels."""

from __future__ import annotations

from itertools import dropwhile
from typing import Any

from ranvier.frontends.torch_export.constants import identity
from ranvier.frontends.torch_export.errors import Findings, Unsupported

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Interface:
    """The signature of an exported program in our terms.

    `inputs` are the names of the placeholders that take tensors of the user; `tensors` maps other placeholders to
    (tensor, its name in the model, whether it is a constant of the trace); `outputs` are (node name, label or "").
    """

    def __init__(self, program: Any):
        self.program = program
        self.notes: list[str] = []
        self.inputs: list[str] = []
        self.tensors: dict[str, tuple[Any, str, bool]] = {}
        self.outputs: list[tuple[str, str]] = []
        self.problems: list[tuple[str, Unsupported]] = []
        self._read_inputs()
        self._read_outputs()

    def check(self, findings: Findings) -> None:
        """Note everything about the signature that cannot be imported."""
        for what, why in self.problems:
            findings.unsupported(what, why, "")

    def _read_inputs(self) -> None:
        # torch keeps one of the names of a shared parameter, the last: the first is where the model defines it
        first_names: dict[Any, str] = {}
        for key, tensor in self.program.state_dict.items():
            first_names.setdefault(identity(tensor), key)
        for spec in self.program.graph_signature.input_specs:
            kind, name, target = spec.kind.name, getattr(spec.arg, "name", ""), spec.target
            if kind == "USER_INPUT":
                if type(spec.arg).__name__ == "TensorArgument":
                    self.inputs.append(name)
                elif type(spec.arg).__name__ == "ConstantArgument":
                    self.notes.append(f"the input {name} is not a tensor: it is fixed at {spec.arg.value!r}")
                else:
                    why = Unsupported("is no tensor", "give a number or a tensor, and export again")
                    self.problems.append((f"input {name}", why))
            elif kind == "PARAMETER" or (kind == "BUFFER" and spec.persistent):
                tensor = self.program.state_dict[target]
                self.tensors[name] = (tensor, first_names[identity(tensor)], False)
            elif kind == "BUFFER":
                self.tensors[name] = (self.program.constants[target], target, False)
            elif kind == "CONSTANT_TENSOR":
                self.tensors[name] = (self.program.constants[target], target, True)
            else:
                self.problems.append((f"input {name or target}", Unsupported(f"is a {kind.lower()}, not a tensor")))

    def _written(self, name: str) -> None:
        """A buffer that the program writes: statistics in training mode, state otherwise."""
        layer, _, last = name.rpartition(".")
        if last not in STATISTICS:
            help = "an imported module has no state: pass it in and give it back"
            self.problems.append((f"buffer {name}", Unsupported("is written while the model runs", help)))
        elif not any(what == f"layer {layer}" for what, _ in self.problems):
            why = Unsupported("updates its statistics", "call model.eval() before torch.export", "training-mode")
            self.problems.append((f"layer {layer}", why))

    def _read_outputs(self) -> None:
        labels = iter(output_labels(self.program))
        for spec in self.program.graph_signature.output_specs:
            kind = spec.kind.name
            if kind == "BUFFER_MUTATION":
                self._written(str(spec.target))
                continue
            if kind != "USER_OUTPUT":
                why = Unsupported(
                    "is changed in place by the model", "write the model so that it gives the new tensor back"
                )
                self.problems.append((f"input {spec.target}", why))
                continue
            label = next(labels, "")
            if type(spec.arg).__name__ == "TensorArgument":
                self.outputs.append((spec.arg.name, label))
            elif getattr(spec.arg, "value", 0) is None:
                self.notes.append(f"the output {label or len(self.outputs)} is None and was left out")
            else:
                why = Unsupported("is no tensor but a number", "let forward give tensors only")
                self.problems.append((f"output {label or len(self.outputs)}", why))


def output_labels(program: Any) -> list[str]:
    """A label for each output in order: the keys from the first dict on, joined by `_`; "" in tuples alone."""
    from torch.utils import _pytree as pytree

    spec = program.call_spec.out_spec
    if spec is None:
        return []
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    labels = []
    for path, _ in pytree.tree_flatten_with_path(tree)[0]:
        named = list(dropwhile(lambda key: hasattr(key, "idx"), path))
        labels.append("_".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", "")))) for k in named))
    return labels
