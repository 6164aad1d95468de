"""From a wave file to the log-mel features that WeSpeaker's networks take."""

import wave
from collections.abc import Mapping
from typing import Any

import kaldi_native_fbank as kaldi
import numpy as np


def read_wave(path: str, rate: int) -> np.ndarray:
    """Read a file of 16 bits, one channel and `rate` samples a second: (samples,) in -1 to 1."""
    with wave.open(path) as file:
        found = file.getnchannels(), file.getsampwidth(), file.getframerate()
        if found != (1, 2, rate):
            channels, width, its_rate = found
            raise SystemExit(
                f"{path}: {channels} channels of {8 * width} bits at {its_rate} Hz; "
                f"make it 1 of 16 at {rate}"
            )
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples / np.float32(32768)


def log_mel(samples: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    """Compute features (1, frames, mel bins) float32 as a manifest's `preprocessing` says."""
    options = kaldi.FbankOptions()
    options.frame_opts.samp_freq = facts["sample_rate"]
    options.frame_opts.frame_length_ms = facts["frame_length_ms"]
    options.frame_opts.frame_shift_ms = facts["frame_shift_ms"]
    options.frame_opts.window_type = facts["window"]
    options.frame_opts.dither = 0.0  # noise is for training
    options.mel_opts.num_bins = facts["mel_bins"]
    bank = kaldi.OnlineFbank(options)
    bank.accept_waveform(facts["sample_rate"], (samples * facts["waveform_scale"]).tolist())
    bank.input_finished()
    frames = np.stack([bank.get_frame(i) for i in range(bank.num_frames_ready)])
    return (frames - frames.mean(axis=0))[None]
