"""Every exception this package raises on purpose; it imports nothing.

The tree::

    DscoremlError               all of the below; catch this one to catch everything
    ├── UsageError              what the user handed in cannot be used: pytest exits with 4, the command line with 2
    │   ├── ModelError          a graph, checkpoint or alphabet
    │   └── AudioError          a WAV file
    ├── ConversionError         the converter refused, crashed, hung or answered nonsense
    ├── DecoderError            a CTC decoder refused or crashed
    ├── EngineError             an engine cannot run a model, or is not available here
    └── RuntimeModelError       raised by the NumPy runtime
        ├── LoadError           a Core ML file is damaged or uses what the runtime does not implement
        ├── InputError          an input that the model's interface does not admit (or an unknown output name)
        └── ExecutionError      an operation failed while running; names the operation

Every message names the file or option, says what was expected and what to do about it.
"""

from __future__ import annotations


class DscoremlError(Exception):
    """Base of every error this package raises on purpose."""


class UsageError(DscoremlError):
    """Something the user handed in cannot be used."""


class ModelError(UsageError):
    """A graph, checkpoint or alphabet that is missing, damaged or not a DeepSpeech model."""


class AudioError(UsageError):
    """A WAV file that is missing, damaged or of another format than the model's."""


class ConversionError(DscoremlError):
    """The converter refused the graph, crashed, hung or answered something that is no answer."""


class DecoderError(DscoremlError):
    """A CTC decoder refused its input or ended its process."""


class EngineError(DscoremlError):
    """An engine cannot run this model, or is not available on this machine."""


class RuntimeModelError(DscoremlError):
    """Base of the NumPy runtime's errors."""


class LoadError(RuntimeModelError):
    """A Core ML file is damaged, or needs something that the runtime does not implement."""


class InputError(RuntimeModelError):
    """An input that the model's declared interface does not admit."""


class ExecutionError(RuntimeModelError):
    """An operation failed while running."""
