//! Binary PLY, for exchange of geometry.

use std::path::Path;

use super::gltf::split_at_seams;
use super::write_atomic;
use crate::{Asset, Result};

/// Writes positions, normals, texture coordinates and triangles; pictures are not part of a PLY file.
pub fn write_ply(path: &Path, asset: &Asset) -> Result<()> {
    let mesh = &asset.mesh;
    let split = split_at_seams(mesh, mesh.corner_uvs.as_deref());
    let normals = mesh.normals.clone().unwrap_or_else(|| mesh.vertex_normals());
    let texture = if split.uv.is_empty() { "" } else { "property float s\nproperty float t\n" };
    let header = format!(
        "ply\nformat binary_little_endian 1.0\ncomment Maquette {}\nelement vertex {}\nproperty float x\nproperty float y\n\
         property float z\nproperty float nx\nproperty float ny\nproperty float nz\n{texture}element face {}\n\
         property list uchar int vertex_indices\nend_header\n",
        env!("CARGO_PKG_VERSION"),
        split.position.len(),
        split.triangles.len()
    );
    let mut bytes = header.into_bytes();
    for (vertex, &index) in split.position.iter().enumerate() {
        let numbers = mesh.positions[index as usize].into_iter().chain(normals[index as usize]);
        bytes.extend(numbers.chain(split.uv.get(vertex).copied().into_iter().flatten()).flat_map(f32::to_le_bytes));
    }
    for triangle in &split.triangles {
        bytes.push(3);
        bytes.extend(triangle.iter().flat_map(|index| index.to_le_bytes()));
    }
    write_atomic(path, &bytes)
}
