"""Entries for clipdiff, a file each."""
