"""Intervals and paired tests over items that share images."""
