"""The image tower, run once per CLIP model."""
