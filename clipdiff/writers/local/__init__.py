"""Models in this process: their files, batches, decoding and draws."""
