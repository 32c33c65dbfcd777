"""NVSR (Liu et al. 2022): a mel spectrogram predicted in one go, then a vocoder; a baseline of the paper."""
