"""Features and windows against TensorFlow's own ops."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dscoreml.errors import AudioError, UsageError
from pytest_dscoreml.speech.features import FeatureConfig, graph_mfcc, mfcc, whiten, windows

AGREE = {"rtol": 0, "atol": 1e-5}
TIME = np.arange(8000)


def tensorflow_mfcc(samples, config=FeatureConfig()):  # noqa: B008 - frozen
    """DeepSpeech's features sub-graph, op for op."""
    spectrogram = tf.raw_ops.AudioSpectrogram(
        input=(samples / 32768).astype(np.float32)[:, None],
        window_size=config.window,
        stride=config.stride,
        magnitude_squared=True,
    )
    features = tf.raw_ops.Mfcc(
        spectrogram=spectrogram,
        sample_rate=config.sample_rate,
        upper_frequency_limit=config.sample_rate / 2,
        dct_coefficient_count=config.n_input,
    )
    return features.numpy()[0]


def as_int16(values):
    return np.clip(np.round(values), -32768, 32767).astype(np.int16)


SIGNALS = {
    "speech": lambda speechlike: speechlike(16000),
    "silence": lambda _: np.zeros(4000, np.int16),
    "one step above silence": lambda _: np.ones(4000, np.int16),
    "click": lambda _: as_int16((TIME == 3000) * 32767),
    "full-scale noise": lambda _: np.random.default_rng(1).integers(-32768, 32768, 8000).astype(np.int16),
    "faint noise": lambda _: np.random.default_rng(2).integers(-1, 2, 8000).astype(np.int16),
    "full-scale constant": lambda _: np.full(4000, -32768, np.int16),
    "square, period 2": lambda _: as_int16(np.where(TIME % 2 < 1, 32767, -32768)),
    "square, period 32": lambda _: as_int16(np.where(TIME % 32 < 16, 32767, -32768)),
    "square, period 100": lambda _: as_int16(np.where(TIME % 100 < 50, 32767, -32768)),
    "square, period 512": lambda _: as_int16(np.where(TIME % 512 < 256, 32767, -32768)),
    "tone on a bin": lambda _: as_int16(32767 * np.sin(2 * np.pi * 1000 * TIME / 16000)),
    "tone between bins": lambda _: as_int16(20000 * np.sin(2 * np.pi * 1015.6 * TIME / 16000)),
    "half silent": lambda speechlike: np.concatenate([np.zeros(4000, np.int16), speechlike(4000)]),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_mfcc_agrees_with_tensorflow(name, speechlike):
    samples = SIGNALS[name](speechlike)
    expected = tensorflow_mfcc(samples)
    obtained = mfcc(samples)
    assert obtained.dtype == np.float32
    np.testing.assert_allclose(obtained, expected, **AGREE)


@pytest.mark.parametrize("length", [0, 1, 319, 320, 511, 512, 513, 831, 832, 833, 1151, 1152, 5631, 5632])
def test_frames_are_as_many_as_tensorflows_at_the_edges_of_framing(length, speechlike):
    samples = speechlike(length)
    expected = tensorflow_mfcc(samples)
    obtained = mfcc(samples)
    assert obtained.shape == expected.shape == (FeatureConfig().n_frames(length), 26)
    np.testing.assert_allclose(obtained, expected, **AGREE)


@settings(deadline=None, max_examples=40)
@given(length=st.integers(0, 3000), seed=st.integers(0, 9), gain=st.sampled_from([1, 30, 3000, 32768]))
def test_mfcc_agrees_with_tensorflow_on_any_noise(length, seed, gain):
    samples = np.random.default_rng(seed).integers(-gain, gain, length).astype(np.int16)
    np.testing.assert_allclose(mfcc(samples), tensorflow_mfcc(samples), **AGREE)


@pytest.mark.parametrize(
    "config",
    [
        FeatureConfig(sample_rate=8000),
        FeatureConfig(sample_rate=8000, win_len_ms=25, win_step_ms=10, n_input=13),
        FeatureConfig(win_len_ms=25, win_step_ms=10),
        FeatureConfig(sample_rate=44100, win_len_ms=30, n_input=40),
    ],
    ids=str,
)
def test_other_front_end_numbers_agree_too(config, speechlike):
    samples = speechlike(12000)
    np.testing.assert_allclose(mfcc(samples, config=config), tensorflow_mfcc(samples, config), **AGREE)


@pytest.mark.parametrize("length", [0, 511, 512, 831, 832, 16000])
def test_the_graphs_own_sub_graph_gives_the_same(length, speechlike):
    samples = speechlike(length)
    fed = []

    def run(window):
        fed.append((window.dtype, window.shape))
        return tensorflow_mfcc(window * 32768)

    obtained = graph_mfcc(run, samples)
    assert set(fed) <= {(np.dtype(np.float32), (512,))}
    assert obtained.shape == (len(fed), 26)
    assert obtained.dtype == np.float32
    np.testing.assert_allclose(obtained, mfcc(samples), **AGREE)


def test_a_sub_graph_of_another_size_is_an_error(speechlike):
    with pytest.raises(UsageError) as caught:
        graph_mfcc(lambda window: np.zeros((1, 13)), speechlike(600))
    assert str(caught.value) == "the graph's mfccs hold 13 values for one window (shape [1, 13]); expected 26"


def test_windows_agree_with_deepspeechs_convolution(speechlike):
    features = mfcc(speechlike(16000))
    padded = np.pad(features, ((9, 9), (0, 0)))
    identity = np.eye(19 * 26, dtype=np.float32).reshape(19, 26, 19 * 26)
    expected = tf.nn.conv1d(padded[None], identity, stride=1, padding="VALID").numpy().reshape(-1, 19, 26)
    obtained = windows(features)
    assert obtained.dtype == np.float32
    np.testing.assert_array_equal(obtained, expected)


@given(n_frames=st.integers(0, 30), n_context=st.integers(0, 12))
def test_a_window_is_the_frame_and_its_neighbours(n_frames, n_context):
    features = np.arange(1, n_frames * 26 + 1, dtype=np.float32).reshape(n_frames, 26)
    obtained = windows(features, n_context=n_context)
    assert obtained.shape == (n_frames, 2 * n_context + 1, 26)
    for frame in range(n_frames):
        for place in range(2 * n_context + 1):
            neighbour = frame + place - n_context
            inside = 0 <= neighbour < n_frames
            expected = features[neighbour] if inside else np.zeros(26)
            np.testing.assert_array_equal(obtained[frame, place], expected)


@pytest.mark.parametrize(("length", "frames"), [(0, 0), (1, 1), (400, 1), (560, 1), (561, 2), (720, 2), (16000, 50)])
def test_the_old_front_end_keeps_every_second_frame_and_pads_the_last(length, frames, speechlike):
    obtained = mfcc(speechlike(length), front_end="python_speech_features")
    assert obtained.shape == (frames, 26)
    assert obtained.dtype == np.float32
    assert np.isfinite(obtained).all()


def test_the_old_front_end_is_the_packages_mfcc_and_not_the_graphs(speechlike):
    import python_speech_features

    samples = speechlike(16000)
    obtained = mfcc(samples, front_end="python_speech_features")
    np.testing.assert_allclose(obtained, python_speech_features.mfcc(samples, 16000, numcep=26)[::2], rtol=1e-6)
    graphs = mfcc(samples)
    assert np.abs(obtained[: len(graphs)] - graphs).max() > 1


def test_the_old_front_end_takes_any_rate(speechlike):
    config = FeatureConfig(sample_rate=48000)
    assert mfcc(speechlike(4800), front_end="python_speech_features", config=config).shape == (5, 26)


def test_whitened_windows_have_mean_0_and_deviation_1(speechlike):
    whitened = whiten(windows(mfcc(speechlike(4000), front_end="python_speech_features")))
    assert whitened.dtype == np.float32
    assert whitened.mean() == pytest.approx(0, abs=1e-5)
    assert whitened.std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shape", [(0, 19, 26), (2, 19, 26)], ids=str)
def test_windows_without_any_difference_are_whitened_to_zeros(shape):
    np.testing.assert_array_equal(whiten(np.full(shape, 3, np.float32)), np.zeros(shape, np.float32))


def test_an_unknown_front_end():
    with pytest.raises(UsageError) as caught:
        mfcc(np.zeros(600, np.int16), front_end="librosa")
    assert str(caught.value) == ("front end 'librosa' is unknown; expected one of deepspeech, python_speech_features")


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        (np.zeros(600, np.float32), "type float32 and shape [600]"),
        (np.zeros((600, 2), np.int16), "type int16 and shape [600, 2]"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "function", [mfcc, lambda samples: graph_mfcc(np.asarray, samples)], ids=["mfcc", "graph_mfcc"]
)
def test_samples_of_another_kind(function, samples, found):
    with pytest.raises(AudioError) as caught:
        function(samples)
    assert str(caught.value) == f"audio samples of {found}; expected int16 and [N], as read_wav gives"


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"win_step_ms": 0}, "win_step_ms=0 at 16000 Hz: expected a whole, positive number of samples"),
        (
            {"sample_rate": 11025, "win_len_ms": 32},
            "win_len_ms=32 at 11025 Hz: expected a whole, positive number of samples",
        ),
        ({"n_input": 41}, "n_input=41: expected 1 to 40, the number of filters"),
    ],
)
def test_front_end_numbers_that_cannot_be(numbers, message):
    with pytest.raises(UsageError) as caught:
        FeatureConfig(**numbers)
    assert str(caught.value) == message
