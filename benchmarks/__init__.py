"""What Ranvier is measured by. Each module runs by itself (`python -m benchmarks.NAME`) and writes its table to
`benchmarks/results/NAME.md`; `python -m benchmarks` runs them all."""
