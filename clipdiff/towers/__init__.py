"""CLIP towers, shared by the stages: loading, trimmed text encoding, weight averaging."""
