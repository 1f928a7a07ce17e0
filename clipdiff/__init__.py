"""clipdiff: which LLM, which loss? Finetuning CLIP on pairwise image differences."""

__version__ = "0.1.0"
