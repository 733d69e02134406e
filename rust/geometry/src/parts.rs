//! Connected parts of a mesh: finding them, and dropping floaters and cavities.

use maquette_core::Mesh;

use crate::vec3::{cross, dot, norm};

/// Parts that share a vertex are one.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Part of each triangle; parts are numbered by their first triangle.
    pub part_of_triangle: Vec<u32>,
    /// Surface area of each part.
    pub areas: Vec<f64>,
    /// Enclosed volume of each part; negative where it is wound inwards, as the wall of a cavity is.
    pub volumes: Vec<f64>,
}

/// The connected parts of a valid mesh.
pub fn parts(mesh: &Mesh) -> Parts {
    let mut sets = DisjointSets::new(mesh.positions.len());
    for &[a, b, c] in &mesh.triangles {
        sets.join(a, b);
        sets.join(b, c);
    }
    let mut number_of_root = vec![u32::MAX; mesh.positions.len()];
    let mut parts = Parts { part_of_triangle: Vec::new(), areas: Vec::new(), volumes: Vec::new() };
    for &triangle in &mesh.triangles {
        let root = sets.find(triangle[0]) as usize;
        if number_of_root[root] == u32::MAX {
            number_of_root[root] = parts.areas.len() as u32;
            parts.areas.push(0.0);
            parts.volumes.push(0.0);
        }
        let part = number_of_root[root];
        let [a, b, c] = triangle.map(|vertex| mesh.positions[vertex as usize]);
        parts.areas[part as usize] += f64::from(norm(mesh.area_vector(triangle))) / 2.0;
        parts.volumes[part as usize] += f64::from(dot(a, cross(b, c))) / 6.0;
        parts.part_of_triangle.push(part);
    }
    parts
}

/// The mesh without parts below `smallest_share` of the whole area (0..=1). The largest part always stays.
#[must_use]
pub fn without_small_parts(mesh: &Mesh, smallest_share: f64) -> Mesh {
    let parts = parts(mesh);
    let total: f64 = parts.areas.iter().sum();
    let largest = largest(&parts.areas);
    keep_parts(mesh, &parts, |part| part == largest || parts.areas[part] >= smallest_share * total)
}

/// The mesh without closed parts that are wound inwards: walls of cavities, which nobody can see from outside.
#[must_use]
pub fn without_cavities(mesh: &Mesh) -> Mesh {
    let parts = parts(mesh);
    keep_parts(mesh, &parts, |part| parts.volumes[part] >= 0.0)
}

/// The part with the largest area alone.
#[must_use]
pub fn largest_part(mesh: &Mesh) -> Mesh {
    let parts = parts(mesh);
    let largest = largest(&parts.areas);
    keep_parts(mesh, &parts, |part| part == largest)
}

/// The largest part; the first of equals.
pub(crate) fn largest(areas: &[f64]) -> usize {
    (0..areas.len()).rev().max_by(|&a, &b| areas[a].total_cmp(&areas[b])).unwrap_or(0)
}

/// The mesh of the parts that `keeps` accepts.
pub(crate) fn keep_parts(mesh: &Mesh, parts: &Parts, keeps: impl Fn(usize) -> bool) -> Mesh {
    let kept: Vec<bool> = (0..parts.areas.len()).map(keeps).collect();
    if kept.iter().all(|&kept| kept) {
        return mesh.clone();
    }
    keep_triangles(mesh, |triangle| kept[parts.part_of_triangle[triangle] as usize])
}

/// The mesh of the triangles that `keeps` accepts, with their vertices alone, in the old order.
pub(crate) fn keep_triangles(mesh: &Mesh, keeps: impl Fn(usize) -> bool) -> Mesh {
    let kept: Vec<usize> = (0..mesh.triangles.len()).filter(|&triangle| keeps(triangle)).collect();
    let mut new_index = vec![u32::MAX; mesh.positions.len()];
    for &triangle in &kept {
        for vertex in mesh.triangles[triangle] {
            new_index[vertex as usize] = 0;
        }
    }
    let used: Vec<usize> = (0..new_index.len()).filter(|&vertex| new_index[vertex] == 0).collect();
    for (index, &vertex) in used.iter().enumerate() {
        new_index[vertex] = index as u32;
    }
    Mesh {
        positions: used.iter().map(|&vertex| mesh.positions[vertex]).collect(),
        triangles: kept.iter().map(|&t| mesh.triangles[t].map(|vertex| new_index[vertex as usize])).collect(),
        normals: mesh.normals.as_ref().map(|normals| used.iter().map(|&vertex| normals[vertex]).collect()),
        corner_uvs: mesh.corner_uvs.as_ref().map(|uvs| kept.iter().map(|&triangle| uvs[triangle]).collect()),
    }
}

/// Union-find; the root of a set is its smallest member.
pub(crate) struct DisjointSets(Vec<u32>);

impl DisjointSets {
    pub(crate) fn new(len: usize) -> Self {
        Self((0..len as u32).collect())
    }

    pub(crate) fn find(&mut self, mut member: u32) -> u32 {
        while self.0[member as usize] != member {
            let above = self.0[member as usize];
            self.0[member as usize] = self.0[above as usize];
            member = above;
        }
        member
    }

    pub(crate) fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_meshes::{icosphere, joined};

    #[test]
    fn floaters_and_cavities_go_and_the_body_stays() {
        let (body, mut cavity, mut floater) = (icosphere(3, 0.4), icosphere(2, 0.2), icosphere(1, 0.02));
        for triangle in &mut cavity.triangles {
            triangle.swap(1, 2);
        }
        for position in &mut floater.positions {
            position[0] += 0.45;
        }
        let mesh = joined(&[floater.clone(), body.clone(), cavity]);
        let found = parts(&mesh);
        assert_eq!(found.areas.len(), 3);
        assert!(found.volumes[0] > 0.0 && found.volumes[2] < 0.0);
        let sphere = 4.0 * std::f64::consts::PI * 0.16;
        assert!((found.areas[1] / sphere - 1.0).abs() < 0.02);
        let solid = without_cavities(&mesh);
        assert_eq!(solid.triangles.len(), floater.triangles.len() + body.triangles.len());
        assert_eq!(without_small_parts(&solid, 0.01), body);
        assert_eq!(largest_part(&mesh), body);
        assert_eq!(without_small_parts(&mesh, 0.0), mesh);
        assert_eq!(largest_part(&Mesh::default()), Mesh::default());
    }
}
