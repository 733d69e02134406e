//! CLIP (Radford et al. 2021): text encoder, vision encoder and tokenizer, with transformers' names.

mod layer;
mod text;
mod tokenizer;
mod vision;

pub use text::ClipText;
pub use tokenizer::ClipTokenizer;
pub use vision::ClipVision;
