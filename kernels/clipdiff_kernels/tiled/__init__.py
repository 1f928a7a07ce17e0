"""The scores of a block in plain torch, a chunk of texts at a time: CPUs, and float64."""
