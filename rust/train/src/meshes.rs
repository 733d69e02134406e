//! Real meshes to learn from.

/// Real meshes, ready to be drawn from. None can be read yet, so there is no value of this type.
#[derive(Debug)]
pub enum MeshBank {}
