"""The figures, one file each: a function that takes tables and returns a matplotlib figure."""
