"""Trainers of the three networks of AudioSR: autoencoder, latent diffusion, vocoder."""
