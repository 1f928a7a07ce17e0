"""Evaluation of one cell: difference-based classification, zero-shot, CLIP-Score."""
