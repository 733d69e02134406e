//! Files: pictures in, meshes in and out. Every write goes to a temporary name first and is renamed when whole.

mod atomic;
mod gltf;
mod mesh_file;
mod obj;
mod picture;
mod ply;

pub use self::gltf::{read_gltf, write_glb, write_gltf};
pub use atomic::write_atomic;
pub use mesh_file::{MeshFormat, read_mesh, write_mesh};
pub use obj::{read_obj, write_obj};
pub use picture::{decode_picture, decode_plane, encode_png, read_picture, read_plane, write_png};
pub use ply::write_ply;
