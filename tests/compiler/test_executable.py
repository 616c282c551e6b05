import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.ir import ops  # noqa: F401
from ranvier.ir.core import OPS, Builder, Module
from ranvier.ir.interpret import evaluate
from ranvier.ir.types import tensor
from ranvier.samples import check_data, check_labels
from tests.compiler.networks import LABELS, SAMPLES, network

SPIKING = "fold-batchnorm, dce, convert-snn{steps=6 threshold=max schedule=stepwise}"


def two_by_two():
    """Two inputs, two outputs: (a + b, a - b)."""
    module = Module("pair")
    graph = module.new_graph()
    a, b = graph.argument("a", tensor("N", 3)), graph.argument("b", tensor("N", 3))
    build = Builder(graph)
    build.returns(build(OPS["nn.add"], a, b), build(OPS["nn.sub"], a, b), names=["sum", "difference"])
    return module.verify().freeze()


def test_it_gives_the_kind_that_it_was_handed():
    exe = rv.compile(network(), target="meaning")
    out = exe(SAMPLES)
    assert isinstance(out, np.ndarray)
    assert np.array_equal(out, evaluate(network(), [SAMPLES])[0][0])
    tensor_out = exe(torch.from_numpy(SAMPLES))
    assert isinstance(tensor_out, torch.Tensor)
    assert np.array_equal(tensor_out.numpy(), out)
    assert np.array_equal(exe(SAMPLES.tolist()), out)
    with pytest.raises(rv.RanvierError, match="bad-input"):
        exe(SAMPLES[0])
    with pytest.raises(rv.RanvierError, match="takes 1 inputs"):
        exe(SAMPLES, SAMPLES)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
@pytest.mark.parametrize("target", ["meaning", "torch"])
def test_numbers_that_are_not_finite_are_refused_as_evaluation_refuses_them(wrong, kind, target):
    exe = rv.compile(network(), target=target)
    samples = SAMPLES.copy()
    samples[5, 0, 1, 2] = wrong
    with pytest.raises(rv.RanvierError) as called:
        exe(kind(samples))
    with pytest.raises(rv.RanvierError) as evaluated:
        exe.evaluate(kind(samples))
    (of_call,), (of_evaluation,) = called.value.diagnostics, evaluated.value.diagnostics
    assert (of_call.code, of_call.notes, of_call.help) == ("bad-data", of_evaluation.notes, of_evaluation.help)
    assert of_call.notes == ("first in sample 5, at [5, 0, 1, 2]",)


def test_every_input_that_is_not_finite_is_named_at_once():
    exe = rv.compile(two_by_two(), target="meaning")
    with pytest.raises(rv.RanvierError) as caught:
        exe(SAMPLES[:, :, 0, 0] * np.nan, SAMPLES[:, :, 0, 0] * np.inf)
    assert ["%a" in caught.value.diagnostics[0].message, "%b" in caught.value.diagnostics[1].message] == [True, True]


def test_several_inputs_and_outputs():
    exe = rv.compile(two_by_two(), target="meaning", data=(SAMPLES[:, :, 0, 0], SAMPLES[:, :, 1, 1]))
    total, difference = exe(SAMPLES[:, :, 0, 0], torch.from_numpy(SAMPLES[:, :, 1, 1]))
    assert isinstance(total, torch.Tensor)
    assert np.array_equal(difference.numpy(), SAMPLES[:, :, 0, 0] - SAMPLES[:, :, 1, 1])
    assert exe.trace[0].drift.top1 is None


def test_batches_do_not_change_anything():
    exe = rv.compile(network(), SPIKING, target="meaning", data=SAMPLES)
    names = [v.name for v in exe.module.main.values if v.type.time == 6]
    whole, parts = exe.run(SAMPLES, names), exe.run(SAMPLES, names, batch=7)
    assert np.allclose(whole.outputs[0], parts.outputs[0], atol=1e-6)
    for name in names:
        assert whole.taps[name].shape == parts.taps[name].shape
        assert whole.taps[name].shape[0] == 6
    with pytest.raises(rv.RanvierError, match="unknown-name"):
        exe.run(SAMPLES, ["nothing"])


def test_random_encoders_are_keyed_by_sample():
    passes = "fold-batchnorm, convert-snn{steps=4 threshold=max input=rate}"
    exe = rv.compile(network(), passes, target="meaning", data=abs(SAMPLES))
    whole = exe.run(abs(SAMPLES)).outputs[0]
    assert np.allclose(whole, exe.run(abs(SAMPLES), batch=3).outputs[0], atol=1e-6)
    some = exe.run(abs(SAMPLES[5:9]), sample_ids=np.arange(5, 9)).outputs[0]
    assert np.allclose(whole[5:9], some, atol=1e-6)
    assert not np.allclose(whole, exe.run(abs(SAMPLES), trial=1).outputs[0], atol=1e-3)
    evaluation = exe.evaluate(abs(SAMPLES), LABELS, trials=3)
    assert evaluation.trials == 3
    assert evaluation.accuracy_std is not None
    assert "over 3 trials" in str(evaluation)


def test_evaluation_counts_spikes_and_operations():
    exe = rv.compile(network(), SPIKING, target="meaning", data=SAMPLES)
    found = exe.evaluate(SAMPLES, LABELS, batch=8)
    neuron = next(op for op in exe.module.ops if op.name == "snn.neuron")
    spikes = exe.run(SAMPLES, [neuron.result.name]).taps[neuron.result.name]
    assert found.samples == 20
    assert found.timesteps == 6
    assert found.latency_steps == 6
    assert found.neurons == 4 * 8 * 8
    assert found.spikes_per_sample == pytest.approx(spikes.sum() / 20)
    assert found.spikes_per_neuron == pytest.approx(spikes.mean() * 6)
    assert found.bits_per_spike == 1
    assert found.accumulates == pytest.approx(spikes.sum() / 20 * 10)  # each spike meets ten outputs
    assert found.multiply_accumulates == 8 * 8 * 4 * 27  # the first layer, once
    assert found.source_macs == 8 * 8 * 4 * 27 + 256 * 10
    assert found.op_energy_pj == pytest.approx(found.accumulates * 0.9 + found.multiply_accumulates * 4.6)
    assert found.layers[0].rate == pytest.approx(spikes.mean())
    own = exe(SAMPLES).argmax(1)
    source = rv.compile(network(), target="meaning")(SAMPLES).argmax(1)
    assert found.accuracy == pytest.approx(np.mean(own == LABELS))
    assert found.source_accuracy == pytest.approx(np.mean(source == LABELS))
    assert found.agreement == pytest.approx(np.mean(own == source))
    text = str(found)
    for word in ("op energy", "not modelled", "Horowitz", "spikes per neuron", "agreement"):
        assert word in text
    assert found.as_dict()["layers"][0]["neurons"] == 256


def test_layer_synchronous_schedules_take_longer():
    passes = "fold-batchnorm, dce, convert-snn{steps=6 threshold=max schedule=layer_sync}"
    exe = rv.compile(network(), passes, target="meaning", data=SAMPLES)
    assert exe.evaluate(SAMPLES[:2]).latency_steps == 12


def test_a_network_without_spikes():
    found = rv.compile(network(), target="meaning").evaluate(SAMPLES)
    assert found.spikes_per_sample is None
    assert found.accuracy is None
    assert found.agreement == 1.0
    assert found.timesteps is None
    assert found.op_energy_pj == found.source_op_energy_pj
    assert "spikes per sample" not in str(found)


def test_torch_runs_the_same_network():
    ours = rv.compile(network(), SPIKING, target="meaning", data=SAMPLES)
    theirs = rv.compile(network(), SPIKING, target=rv.targets.Torch(), data=SAMPLES)
    assert np.allclose(ours(SAMPLES), theirs(SAMPLES), atol=1e-4)
    a, b = ours.evaluate(SAMPLES), theirs.evaluate(SAMPLES)
    assert a.spikes_per_sample == pytest.approx(b.spikes_per_sample, rel=1e-3)


def test_opt_returns_the_module_itself_when_nothing_changes():
    module = rv.opt(network(), "dce")
    assert rv.opt(module, "dce") is module
    assert rv.opt(module, []) is module
    assert rv.parse(str(rv.opt(two_by_two(), "dce"))) == two_by_two()


def test_targets_are_found_by_name():
    assert rv.targets.Meaning().word == "meaning"
    assert {"Meaning", "Torch"} <= set(dir(rv.targets))
    with pytest.raises(AttributeError, match="did you mean `Torch`"):
        rv.targets.Torsch  # noqa: B018
    with pytest.raises(rv.RanvierError, match="unknown-target"):
        rv.compile(network(), target="meening")
    with pytest.raises(rv.RanvierError, match="cannot be given as int"):
        rv.compile(network(), target=3)


def test_a_keyword_that_is_no_option_is_refused_with_the_near_miss():
    with pytest.raises(rv.RanvierError, match="`torch` has no option 'devce'") as caught:
        rv.targets.Torch(devce="cpu")
    (found,) = caught.value.diagnostics
    assert found.code == "unknown-option"
    assert found.help == "did you mean `device`?"
    target = rv.targets.Torch(device="cpu")
    assert copy.deepcopy(target) == pickle.loads(pickle.dumps(target)) == target
    with pytest.raises(rv.RanvierError, match="did you mean `threads`"):
        dataclasses.replace(target, thread=1)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (SAMPLES[:, :2], "has shape [20, 2, 8, 8]"),
        (SAMPLES * np.nan, "holds NaN: 3840 of 3840"),
        (np.where(SAMPLES > 3, np.inf, SAMPLES), "holds infinite numbers"),
        ((SAMPLES, SAMPLES), "holds 2 arrays, the network takes 1 input"),
        (SAMPLES[:0], "is empty"),
        ("digits", "this str holds"),
        ([[1, 2], [3]], "no array can be made of this"),
        (None, "this NoneType holds object"),
    ],
)
def test_bad_data(data, says):
    with pytest.raises(rv.RanvierError) as caught:
        check_data(network().main, data)
    first = caught.value.diagnostics[0]
    assert first.code == "bad-data"
    assert says in first.message
    assert first.help


@pytest.mark.parametrize("labels", [LABELS[:3], LABELS.reshape(4, 5), LABELS + 0.5, ["a"] * 20])
def test_bad_labels(labels):
    with pytest.raises(rv.RanvierError, match="bad-data"):
        check_labels(labels, 20)


@pytest.mark.parametrize("wrong", [16, -1])
def test_labels_outside_the_classes_are_refused(wrong):
    exe = rv.compile(network(), target="meaning")
    labels = LABELS.copy()
    labels[3] = wrong
    with pytest.raises(rv.RanvierError, match="lie outside the network's") as caught:
        exe.evaluate(SAMPLES, labels)
    (found,) = caught.value.diagnostics
    assert found.code == "bad-data"
    assert found.notes == (f"first in sample 3: label {wrong}",)


def test_evaluation_data_with_nan_are_refused():
    exe = rv.compile(network(), SPIKING, target="meaning", data=SAMPLES)
    samples = SAMPLES.copy()
    samples[5, 0, 1, 2] = np.nan
    with pytest.raises(rv.RanvierError, match=r"evaluation data for input %.* holds NaN: 1 of") as caught:
        exe.evaluate(samples, LABELS)
    (found,) = caught.value.diagnostics
    assert found.code == "bad-data"
    assert found.notes == ("first in sample 5, at [5, 0, 1, 2]",)


def test_labels_need_data():
    with pytest.raises(rv.RanvierError, match="labels are given without data"):
        rv.opt(network(), "dce", labels=LABELS)


def test_several_inputs_must_have_as_many_samples():
    with pytest.raises(rv.RanvierError, match="bad-data"):
        check_data(two_by_two().main, (SAMPLES[:, :, 0, 0], SAMPLES[:3, :, 0, 0]))
