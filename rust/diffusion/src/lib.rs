//! Latent diffusion networks in candle, and the view sources built on them.
//!
//! What is here follows the folders of a checkpoint as its authors publish it: [`unet`], [`vae`], [`clip`] (text,
//! vision, tokenizer), [`controlnet`], [`schedulers`]; [`zero123plus`] puts them together. Weights come from a
//! folder on disk through [`weights`]. Nothing here opens a connection.
//!
//! Tensors are `[batch, channels, height, width]` (pictures, latents) or `[batch, tokens, channels]`. Networks are
//! inference only on the CPU's fast path ([`kernels`]) and differentiable through candle elsewhere.

pub mod clip;
pub mod config;
pub mod controlnet;
mod error;
pub mod kernels;
pub mod matting;
pub mod models;
pub mod nn;
pub mod resample;
pub mod run;
pub mod schedulers;
pub mod unet;
pub mod vae;
pub mod weights;
pub mod zero123plus;

pub use error::{Error, Result};
pub use run::Run;
