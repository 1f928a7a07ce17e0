"""The roofline gate: kernels compiled ahead of time, read, bounded and predicted, without a GPU.

``python -m clipdiff_kernels.aot [ARCH ...]`` prints the tables and exits 1 where a bound is broken.
``configurations.py`` says what is compiled, ``bounds.py`` what must hold.
"""
