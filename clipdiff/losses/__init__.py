"""The losses as modules: the kernels, their parameters, and the ranks' communication."""
