"""Evaluation of one cell by the tasks of its splits, and what it asks LLMs for."""
