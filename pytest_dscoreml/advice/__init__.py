"""Which operations lose most in float16, and which to keep in float32. Imports `divergence`, `agreement` and what lies below."""
