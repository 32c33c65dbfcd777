"""Waveform diffusion in the manner of NuWave (Lee and Han 2021), a baseline of the paper."""
