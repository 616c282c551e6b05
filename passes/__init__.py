"""Passes: one module in, one module out. Nothing is imported before it is asked for by name."""

# Word -> "module:class". A word not listed here is looked up among the backends' passes and the installed packages'.
BUILTIN = {
    "free-batch": "ranvier.passes.shape.free_batch:FreeBatch",
    "inline": "ranvier.passes.simplify.inline:Inline",
    "fold-constants": "ranvier.passes.simplify.fold_constants:FoldConstants",
    "dce": "ranvier.passes.simplify.dce:DeadCode",
    "cse": "ranvier.passes.simplify.cse:CommonSubexpressions",
    "canonicalize": "ranvier.passes.simplify.canonicalize:Canonicalize",
    "fold-batchnorm": "ranvier.passes.simplify.fold_batchnorm:FoldBatchNorm",
    "calibrate": "ranvier.passes.calibration.calibrate:Calibrate",
    "fs-fit": "ranvier.passes.few_spikes.fs_fit:FewSpikesFitting",
    "assign-code": "ranvier.passes.conversion.assign_code:AssignCode",
    "convert-snn": "ranvier.passes.conversion.convert_snn:ConvertSnn",
    "quantize": "ranvier.passes.quantization.quantize:Quantize",
    "freeze-quant": "ranvier.passes.quantization.freeze:FreezeQuant",
    "fold-spike-scales": "ranvier.passes.quantization.spike_scales:FoldSpikeScales",
    "lower-integer": "ranvier.passes.quantization.lower_integer:LowerInteger",
    "verify-integer": "ranvier.passes.quantization.intervals:VerifyInteger",
    "noise": "ranvier.passes.noise.inject:InjectNoise",
    "compensate-deletion": "ranvier.passes.noise.compensate:CompensateDeletion",
    "fit-ttfs-kernel": "ranvier.passes.conversion.fit_kernel:FitTtfsKernel",
    "train-ttfs": "ranvier.passes.training.train_ttfs:TrainTtfs",
    "place-arrays": "ranvier.passes.hardware.place:PlaceArrays",
    "bit-encode": "ranvier.passes.hardware.bit_encode:BitEncode",
    "bn-adapt": "ranvier.passes.hardware.bn_adapt:BatchNormAdapt",
    "to-step": "ranvier.passes.time.to_step:ToStep",
}
