"""One number, traced back: ``number`` to its items, ``origin`` to model, texts and commits."""
