"""Tiny models and a server, for every kind of writer."""

from tiny_writers import asked, entry, models, server  # noqa: F401 - fixtures
