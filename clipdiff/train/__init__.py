"""Finetuning of one cell."""
