"""Models to share: an open_clip folder with a model card."""
