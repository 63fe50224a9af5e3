"""The commands of `python -m pytest_dscoreml`, a file each; nothing heavy is imported before one runs."""
