"""pytest-dscoreml: does the converted DeepSpeech model still hear the same thing?

Nothing heavy is imported here: pytest loads this package wherever it is installed.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
