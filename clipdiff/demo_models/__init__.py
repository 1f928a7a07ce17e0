"""Scripts that made what the package ships: the demo's models, its sprites and their checksums."""
