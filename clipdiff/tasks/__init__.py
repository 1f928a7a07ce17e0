"""What a model is measured by; each module but ``base`` is one kind of task."""
