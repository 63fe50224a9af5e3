"""A bundle: conversions, what they were fed, and what TensorFlow made of it, in a directory that proves its own content.

    DIR/bundle.json     everything that is no array and no model; the SHA-256 of every other file, and of itself
    DIR/models/NAME     the converted models
    DIR/cases/KEY.npz   inputs and expected outputs

Imports `agreement`, `engines`, `conversion`, `model` and what lies below them.
"""
