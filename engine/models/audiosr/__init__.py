"""AudioSR: the latent diffusion model of Liu et al. (ICASSP 2024)."""
