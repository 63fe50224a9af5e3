"""MFCC features and context windows, as a DeepSpeech graph computes them, in NumPy.

The graph's features sub-graph is TensorFlow's AudioSpectrogram followed by Mfcc. python_speech_features supplies the
framing and the spectra; its `mfcc()` is another front end (pre-emphasis, a lifter, other filters), that of models made
before 2018. Imports NumPy, python_speech_features (late) and `pytest_dscoreml.errors`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.errors import AudioError, UsageError

#: The front ends that `mfcc` knows.
FRONT_ENDS = ("deepspeech", "python_speech_features")

#: int16 is scaled to [-1, 1) by this, as TensorFlow's `decode_wav` does.
FULL_SCALE = 32768.0

#: Band amplitudes below this are raised to it before the logarithm: kFilterbankFloor of TensorFlow's mfcc.cc.
FILTERBANK_FLOOR = 1e-12

#: Frames of context on each side of a window.
N_CONTEXT = 9


@dataclass(frozen=True)
class FeatureConfig:
    """The numbers of a front end. The defaults are those of every DeepSpeech release.

    `filters` and `lower_hz` are the defaults of TensorFlow's Mfcc op, which DeepSpeech leaves alone; the upper limit is
    half the sample rate, as DeepSpeech sets it.
    """

    sample_rate: int = 16000
    win_len_ms: int = 32
    win_step_ms: int = 20
    n_input: int = 26
    filters: int = 40
    lower_hz: float = 20.0

    def __post_init__(self) -> None:
        for name in ("win_len_ms", "win_step_ms"):
            milliseconds = getattr(self, name)
            if milliseconds <= 0 or self.sample_rate <= 0 or self.sample_rate * milliseconds % 1000:
                raise UsageError(
                    f"{name}={milliseconds} at {self.sample_rate} Hz: expected a whole, positive number of samples"
                )
        if not 0 < self.n_input <= self.filters:
            raise UsageError(f"n_input={self.n_input}: expected 1 to {self.filters}, the number of filters")

    @property
    def window(self) -> int:
        """Samples in a frame."""
        return self.sample_rate * self.win_len_ms // 1000

    @property
    def stride(self) -> int:
        """Samples from one frame's start to the next one's."""
        return self.sample_rate * self.win_step_ms // 1000

    @property
    def upper_hz(self) -> float:
        """The upper limit of the filters, in Hz."""
        return self.sample_rate / 2

    def n_frames(self, n_samples: int) -> int:
        """Whole frames in so many samples; what is left over at the end is dropped, as AudioSpectrogram does."""
        return max(0, (n_samples - self.window) // self.stride + 1)


DEEPSPEECH = FeatureConfig()


def mfcc(
    samples: NDArray[np.int16], *, front_end: str = "deepspeech", config: FeatureConfig = DEEPSPEECH
) -> NDArray[np.float32]:
    """MFCC features of an utterance.

    Args:
        samples: int16 [N].
        front_end: "deepspeech" agrees with the graph's own sub-graph (AudioSpectrogram and Mfcc) to 1e-5.
            "python_speech_features" is the front end of models made before 2018: that package's `mfcc()` with its
            defaults (25 ms windows every 10 ms, 26 filters), every second frame kept. It does not agree with the
            graph's: other values (several times as large) and one or two more frames, the last of them zero-padded.
            Those models also want their windows whitened: `whiten(windows(...))`.
        config: the numbers of the front end; of these, "python_speech_features" takes the rate and n_input alone.

    Returns:
        float32 [T, n_input]; "deepspeech" gives T = 0 where the audio is shorter than one window.

    Raises:
        AudioError: `samples` is not int16 [N].
        UsageError: the front end is unknown.
    """
    _check_samples(samples)
    if front_end == "deepspeech":
        return _deepspeech_mfcc(samples, config)
    if front_end == "python_speech_features":
        return _python_speech_features_mfcc(samples, config)
    raise UsageError(f"front end {front_end!r} is unknown; expected one of {', '.join(FRONT_ENDS)}")


def graph_mfcc(
    run: Callable[[NDArray[np.float32]], NDArray[Any]],
    samples: NDArray[np.int16],
    *,
    config: FeatureConfig = DEEPSPEECH,
) -> NDArray[np.float32]:
    """Features by a graph's own sub-graph, one window at a time, as Mozilla's clients do.

    Args:
        run: feeds float32 [window] in [-1, 1) to `input_samples` and returns `mfccs`: n_input values in any shape.
        samples: int16 [N].
        config: window and stride; n_input is checked against what `run` returns.

    Returns:
        float32 [T, n_input].

    Raises:
        AudioError: `samples` is not int16 [N].
        UsageError: the sub-graph returns another number of values.
    """
    _check_samples(samples)
    scaled = (samples / FULL_SCALE).astype(np.float32)
    features = np.empty((config.n_frames(len(samples)), config.n_input), np.float32)
    for frame in range(len(features)):
        start = frame * config.stride
        values = np.asarray(run(scaled[start : start + config.window]))
        if values.size != config.n_input:
            raise UsageError(
                f"the graph's mfccs hold {values.size} values for one window (shape {list(values.shape)}); "
                f"expected {config.n_input}"
            )
        features[frame] = values.reshape(-1)
    return features


def windows(features: NDArray[np.floating[Any]], *, n_context: int = N_CONTEXT) -> NDArray[np.float32]:
    """Each frame with its neighbours; beyond both ends of the utterance there are frames of zeros.

    Args:
        features: [T, n_input].
        n_context: frames on each side.

    Returns:
        float32 [T, 2 * n_context + 1, n_input].
    """
    padded = np.pad(np.asarray(features, np.float32), ((n_context, n_context), (0, 0)))
    return padded[np.arange(len(features))[:, None] + np.arange(2 * n_context + 1)]


def whiten(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Windows with mean 0 and standard deviation 1 over the whole utterance, padding included.

    Models made before 2018 were trained on such; later ones take windows as they are. Windows that are all equal
    become zeros.

    Args:
        values: windows [T, 19, n_input].

    Returns:
        float32, of the same shape.
    """
    centred = np.asarray(values, np.float64)
    if centred.size == 0:
        return centred.astype(np.float32)
    centred = centred - centred.mean()
    deviation = centred.std()
    whitened: NDArray[np.float32] = (centred / (deviation if deviation > 0 else 1.0)).astype(np.float32)
    return whitened


def _check_samples(samples: NDArray[np.int16]) -> None:
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise AudioError(
            f"audio samples of type {samples.dtype} and shape {list(samples.shape)}; "
            "expected int16 and [N], as read_wav gives"
        )


def _deepspeech_mfcc(samples: NDArray[np.int16], config: FeatureConfig) -> NDArray[np.float32]:
    from python_speech_features import sigproc

    n_frames = config.n_frames(len(samples))
    if n_frames == 0:
        return np.empty((0, config.n_input), np.float32)
    # framesig pads the end and adds a frame for it; cut to whole frames there is nothing to pad.
    whole = samples[: (n_frames - 1) * config.stride + config.window] / FULL_SCALE
    frames = sigproc.framesig(whole, config.window, config.stride, winfunc=_periodic_hann)
    fft_length = 1 << (config.window - 1).bit_length()
    # powspec divides by the FFT's length, AudioSpectrogram does not. Its output, float32, is what Mfcc reads.
    power = (sigproc.powspec(frames, fft_length) * fft_length).astype(np.float32)
    bands = np.sqrt(power.astype(np.float64)) @ _mel_filters(config, fft_length // 2 + 1)
    features: NDArray[np.float32] = (np.log(np.maximum(bands, FILTERBANK_FLOOR)) @ _dct(config)).astype(np.float32)
    return features


def _python_speech_features_mfcc(samples: NDArray[np.int16], config: FeatureConfig) -> NDArray[np.float32]:
    import python_speech_features

    if len(samples) == 0:
        return np.empty((0, config.n_input), np.float32)
    # 512 at 16 kHz; above 20 kHz a window of 25 ms is longer than that, and would be cut.
    fft_length = max(512, 1 << (config.sample_rate * 25 // 1000 - 1).bit_length())
    features = python_speech_features.mfcc(
        samples, samplerate=config.sample_rate, numcep=config.n_input, nfft=fft_length
    )
    return np.asarray(features[::2], np.float32)


def _periodic_hann(length: int) -> NDArray[np.float64]:
    """TensorFlow's window: the last point of the symmetric one, as np.hanning makes it, is left out."""
    return np.hanning(length + 1)[:-1]


@lru_cache(maxsize=8)
def _mel_filters(config: FeatureConfig, n_bins: int) -> NDArray[np.float64]:
    """Triangular filters on the mel scale, [n_bins, filters]; they weigh amplitudes, not power.

    As in TensorFlow's mfcc_mel_filterbank.cc, each triangle is linear in mel, not in Hz, the peak of one is the foot of
    its neighbours, and the bins below the lower limit (always bin 0) and above the upper one count for nothing.
    """
    edges = np.linspace(_mel(config.lower_hz), _mel(config.upper_hz), config.filters + 2)
    hz_per_bin = config.sample_rate / 2 / (n_bins - 1)
    bins = np.arange(n_bins)
    mels = _mel(bins * hz_per_bin)[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    filters: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    first, last = int(1.5 + config.lower_hz / hz_per_bin), int(config.upper_hz / hz_per_bin)
    filters[(bins < first) | (bins > last)] = 0.0
    return filters


def _mel(hz: Any) -> Any:
    return 1127.0 * np.log1p(hz / 700.0)


@lru_cache(maxsize=8)
def _dct(config: FeatureConfig) -> NDArray[np.float64]:
    """DCT-II, [filters, n_input], every coefficient scaled by sqrt(2 / filters), the first one too."""
    angle = np.pi / config.filters * np.outer(np.arange(config.filters) + 0.5, np.arange(config.n_input))
    matrix: NDArray[np.float64] = np.sqrt(2.0 / config.filters) * np.cos(angle)
    return matrix
