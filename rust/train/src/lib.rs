//! Training of the weights that are built into Maquette, and the data that they learn from.

pub mod data;
pub mod meshes;
pub mod preview;
