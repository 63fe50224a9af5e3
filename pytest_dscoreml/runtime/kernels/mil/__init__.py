"""Kernels of ML Program operations; names and defaults are those of coremltools' op definitions."""
