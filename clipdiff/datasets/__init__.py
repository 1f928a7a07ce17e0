"""Data sets to train and to evaluate on; each module but ``base`` is one kind."""
