//! Latent diffusion networks and the view sources built on them.
