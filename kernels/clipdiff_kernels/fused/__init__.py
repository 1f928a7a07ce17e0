"""The scores of a block in Triton, for GPUs (and, in Triton's interpreter, to be tested)."""
