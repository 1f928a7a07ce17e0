"""Who writes how two images differ: one file a kind, its settings, its behaviour, its words."""
