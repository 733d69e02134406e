//! Triangle meshes as they cross the library's edges.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Error, Image, Result};

/// An indexed triangle mesh, counter-clockwise seen from outside.
#[derive(Clone, Debug, Default, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct Mesh {
    /// Vertex positions, metres, +Y up.
    pub positions: Vec<[f32; 3]>,
    /// Vertex indices of each triangle.
    pub triangles: Vec<[u32; 3]>,
    /// Unit vertex normals, as many as positions; `None`: not computed.
    pub normals: Option<Vec<[f32; 3]>>,
    /// Texture coordinates of every triangle corner, origin bottom-left; `None`: not unwrapped.
    pub corner_uvs: Option<Vec<[[f32; 2]; 3]>>,
}

impl Mesh {
    /// Most vertices or triangles accepted from outside.
    pub const MAX_ELEMENTS: usize = 20_000_000;

    /// A mesh of positions and triangles alone, checked with [`Mesh::validate`].
    pub fn new(positions: Vec<[f32; 3]>, triangles: Vec<[u32; 3]>) -> Result<Self> {
        let mesh = Self { positions, triangles, normals: None, corner_uvs: None };
        mesh.validate()?;
        Ok(mesh)
    }

    /// Checks sizes, index ranges and that every number is finite.
    pub fn validate(&self) -> Result<()> {
        if self.positions.len() > Self::MAX_ELEMENTS || self.triangles.len() > Self::MAX_ELEMENTS {
            return Err(Error::invalid(format!(
                "mesh has {} vertices and {} triangles; the limit is {} of each: decimate it first",
                self.positions.len(),
                self.triangles.len(),
                Self::MAX_ELEMENTS
            )));
        }
        if let Some(index) = self.positions.iter().position(|p| !p.iter().all(|x| x.is_finite())) {
            return Err(Error::invalid(format!(
                "vertex {index} of the mesh is not finite ({:?}); repair the mesh",
                self.positions[index]
            )));
        }
        let count = self.positions.len() as u64;
        if let Some(index) = self.triangles.iter().position(|t| t.iter().any(|&v| u64::from(v) >= count)) {
            return Err(Error::invalid(format!(
                "triangle {index} of the mesh names vertices {:?}, but there are only {count}",
                self.triangles[index]
            )));
        }
        if let Some(normals) = &self.normals
            && normals.len() != self.positions.len()
        {
            return Err(Error::invalid(format!(
                "mesh has {} normals for {} vertices; give one for each or none",
                normals.len(),
                self.positions.len()
            )));
        }
        if let Some(uvs) = &self.corner_uvs {
            if uvs.len() != self.triangles.len() {
                return Err(Error::invalid(format!(
                    "mesh has texture coordinates for {} of {} triangles; give three corners for each or none",
                    uvs.len(),
                    self.triangles.len()
                )));
            }
            if let Some(index) = uvs.iter().position(|corners| !corners.iter().flatten().all(|x| x.is_finite())) {
                return Err(Error::invalid(format!("texture coordinates of triangle {index} are not finite")));
            }
        }
        Ok(())
    }

    /// Smallest and largest coordinate on each axis; `None` without vertices.
    pub fn bounds(&self) -> Option<([f32; 3], [f32; 3])> {
        let first = *self.positions.first()?;
        Some(self.positions.iter().fold((first, first), |(low, high), p| {
            (std::array::from_fn(|k| low[k].min(p[k])), std::array::from_fn(|k| high[k].max(p[k])))
        }))
    }

    /// Twice-area vector of a triangle: its direction is the outward normal, its length twice the area.
    pub fn area_vector(&self, triangle: [u32; 3]) -> [f32; 3] {
        let [a, b, c] = triangle.map(|index| self.positions[index as usize]);
        let (u, v) = ([b[0] - a[0], b[1] - a[1], b[2] - a[2]], [c[0] - a[0], c[1] - a[1], c[2] - a[2]]);
        [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
    }

    /// Area-weighted vertex normals; vertices without area point up.
    pub fn vertex_normals(&self) -> Vec<[f32; 3]> {
        let mut sums = vec![[0.0f32; 3]; self.positions.len()];
        for &triangle in &self.triangles {
            let area = self.area_vector(triangle);
            for index in triangle {
                for k in 0..3 {
                    sums[index as usize][k] += area[k];
                }
            }
        }
        for sum in &mut sums {
            let length = (sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2]).sqrt();
            *sum = if length > 1e-20 { sum.map(|x| x / length) } else { [0.0, 1.0, 0.0] };
        }
        sums
    }
}

impl Mesh {
    /// The same surface with vertices at bitwise equal positions made one, and for each old vertex its new index.
    ///
    /// Files repeat vertices along texture seams; geometry wants them joined. Normals are dropped.
    pub fn welded(&self) -> (Self, Vec<u32>) {
        let mut order: Vec<u32> = (0..self.positions.len() as u32).collect();
        // Adding zero makes -0 and 0 one position.
        let key = |index: u32| self.positions[index as usize].map(|x| (x + 0.0).to_bits());
        order.sort_by_key(|&index| (key(index), index));
        let mut first = vec![0u32; self.positions.len()];
        for (slot, &index) in order.iter().enumerate() {
            let joins = slot > 0 && key(order[slot - 1]) == key(index);
            first[index as usize] = if joins { first[order[slot - 1] as usize] } else { index };
        }
        let mut map = vec![0u32; self.positions.len()];
        let mut positions = Vec::new();
        for (index, &target) in first.iter().enumerate() {
            // The first of each group comes before its others.
            map[index] = if target as usize == index {
                positions.push(self.positions[index]);
                positions.len() as u32 - 1
            } else {
                map[target as usize]
            };
        }
        let triangles = self.triangles.iter().map(|t| t.map(|index| map[index as usize])).collect();
        (Self { positions, triangles, normals: None, corner_uvs: self.corner_uvs.clone() }, map)
    }
}

/// A mesh with its textures, ready for a file or a scene.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asset {
    /// Geometry and texture coordinates.
    pub mesh: Mesh,
    /// sRGB base colour.
    pub base_color: Option<Image>,
    /// Tangent-space normal map (+Y up, MikkTSpace convention as glTF asks), stored as in files.
    pub normal_map: Option<Image>,
    /// Name of the object, usually of the picture it came from.
    pub name: String,
    /// Recipe, hashes and version, kept in files as glTF `extras`.
    pub provenance: Option<serde_json::Value>,
    /// `v` of every corner as a glTF file had it (origin top-left). Turning it round twice is not exact in floats, and a
    /// retexture promises to keep texture coordinates bit for bit.
    pub gltf_corner_v: Option<Vec<[f32; 3]>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_meshes_are_named() {
        let nan = Mesh::new(vec![[0.0, f32::NAN, 0.0]], vec![]).unwrap_err().to_string();
        assert!(nan.contains("vertex 0"), "{nan}");
        let range = Mesh::new(vec![[0.0; 3]; 3], vec![[0, 1, 3]]).unwrap_err().to_string();
        assert!(range.contains("triangle 0") && range.contains("only 3"), "{range}");
        let mut mesh = Mesh::new(vec![[0.0; 3]; 3], vec![[0, 1, 2]]).unwrap();
        mesh.corner_uvs = Some(vec![]);
        assert!(mesh.validate().is_err());
    }

    #[test]
    fn welding_joins_seams_and_keeps_order() {
        let positions = vec![[0.0; 3], [1.0, 0.0, 0.0], [-0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
        let mesh = Mesh::new(positions, vec![[0, 1, 3], [2, 3, 4]]).unwrap();
        let (welded, map) = mesh.welded();
        assert_eq!(map, [0, 1, 0, 2, 1]);
        assert_eq!(welded.positions, [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        assert_eq!(welded.triangles, [[0, 1, 2], [0, 2, 1]]);
    }

    #[test]
    fn normals_point_outwards() {
        let mesh = Mesh::new(vec![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], vec![[0, 1, 2]]).unwrap();
        assert_eq!(mesh.vertex_normals()[0], [0.0, 0.0, 1.0]);
    }
}
