"""Emoji scenes in words and pixels: what the embedded default draws and its models learned."""
