"""The vocoders of AudioSR: from a log-mel spectrogram to a waveform."""
