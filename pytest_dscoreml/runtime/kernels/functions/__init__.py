"""The numerics themselves, each once: both formats' kernels call these. Imports only NumPy."""
