"""Where a conversion departs from TensorFlow first: which operation, in which call, at which step of the loop."""
