"""What agreement means: metrics, tolerances and the words of a failure. Imports `engines` and what lies below."""
