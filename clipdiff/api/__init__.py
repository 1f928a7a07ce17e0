"""What notebooks use: results as frames, finetuned models that encode and rank, losses as modules.

Everything here reads a finished results folder and writes nothing. ``clipdiff.load_results``,
``clipdiff.load_model`` and ``clipdiff.make_loss`` are imported on first use.
"""
