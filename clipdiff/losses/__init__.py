"""The losses between texts and differences, one file each: settings, kernels, words."""
