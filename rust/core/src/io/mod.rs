//! Files: pictures in, meshes in and out. Every write goes to a temporary name first and is renamed when whole.

mod atomic;
mod picture;

pub use atomic::write_atomic;
pub use picture::{decode_picture, decode_plane, encode_png, read_picture, read_plane, write_png};
