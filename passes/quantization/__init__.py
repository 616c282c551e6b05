"""From reals to levels: fake quantization, frozen types, integer arithmetic."""
