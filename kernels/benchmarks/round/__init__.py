"""The parts of a GPU round; ``gpu.py`` runs each in a process of its own."""
