"""Sounds as vectors: WAV files of 16-bit samples, and log-mel frames of them."""

import wave
from pathlib import Path
from typing import IO

import numpy as np

from data_pipeline.errors import DataError

FRAME, HOP = 0.025, 0.010  # seconds
RANGE = 1e-8  # what lies 80 dB below a recording's loudest band counts as silence


def read_wav(file: Path | IO[bytes], name: str, rate: int) -> np.ndarray:
    """(N,) float32 samples in [−1, 1) of a mono WAV file with 16 bits a sample.

    Args:
      name: of the file, for messages.
      rate: samples per second that it has to have.

    Raises:
      DataError: for any other file, one that is cut off, or one without samples.
    """
    try:
        with wave.open(str(file) if isinstance(file, Path) else file, "rb") as sound:
            _check(sound, name, rate)
            wanted = sound.getnframes()
            data = sound.readframes(wanted)
    except FileNotFoundError:
        raise DataError(f"there is no file {name!r}") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}") from None
    except EOFError:
        raise DataError(f"{name} is cut off within its header") from None
    except wave.Error as error:
        raise DataError(
            f"{name} is no WAV file of PCM samples ({error}); convert it to 16-bit "
            f"mono at {rate} Hz"
        ) from None
    found = len(data) // 2
    if found < wanted:
        raise DataError(
            f"{name} is cut off: its header promises {wanted} samples, {found} are "
            "there"
        )
    if not found:
        raise DataError(f"{name} holds no samples")
    return np.frombuffer(data, "<i2").astype(np.float32) / 2**15


def _check(sound: wave.Wave_read, name: str, rate: int) -> None:
    channels, bits = sound.getnchannels(), 8 * sound.getsampwidth()
    if sound.getframerate() != rate:
        raise DataError(
            f"{name} has {sound.getframerate()} samples per second, not {rate}: "
            "resample it (or set data.rate, if all have that rate)"
        )
    if channels != 1:
        raise DataError(f"{name} has {channels} channels: make it mono")
    if bits != 16:
        raise DataError(f"{name} has {bits} bits per sample: convert it to 16")


def log_mel(samples: np.ndarray, rate: int, bands: int) -> np.ndarray:
    """(T, bands) float32: `normalised` logarithms of `mel_power`."""
    return normalised(mel_power(samples, rate, bands))


def mel_power(samples: np.ndarray, rate: int, bands: int) -> np.ndarray:
    """(T, bands): the power in bands of equal width on the mel scale, in frames of
    25 ms every 10 ms. What is shorter than a frame is filled up with silence."""
    frame, hop = frame_and_hop(rate)
    padded = np.pad(samples.astype(np.float64), (0, max(0, frame - len(samples))))
    frames_TN = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop]
    size = 1 << (frame - 1).bit_length()
    spectrum = np.fft.rfft(frames_TN * np.hanning(frame), size)
    return np.abs(spectrum) ** 2 @ mel_filters(bands, size, rate).T


def frame_and_hop(rate: int) -> tuple[int, int]:
    """Samples in a frame, and from one frame to the next."""
    return round(FRAME * rate), round(HOP * rate)


def normalised(power_TD: np.ndarray) -> np.ndarray:
    """(T, D) float32: logarithms of the power, each recording at mean 0 and variance 1
    over all its numbers, so that loudness is left out and the spectrum's shape is
    kept."""
    silence = max(RANGE * power_TD.max(), np.finfo(np.float32).tiny)
    found_TD = np.log(np.maximum(power_TD, silence))
    deviation = max(found_TD.std(), 1e-3)
    return ((found_TD - found_TD.mean()) / deviation).astype(np.float32)


def mel_filters(bands: int, size: int, rate: int) -> np.ndarray:
    """(bands, size/2 + 1): triangles that overlap by half, between 0 and rate/2, evenly
    spaced in mel(f) = 2595·log₁₀(1 + f/700)."""
    highest = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(size, 1 / rate)
    low, middle, high = (edges[k : k + bands, None] for k in range(3))
    rising = (frequency - low) / (middle - low)
    falling = (high - frequency) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling))
