//! Mending self-intersections where they are: the surface around them is smoothed until it unfolds.

use glam::Vec3A;
use maquette_core::Mesh;

use crate::adjacency::Adjacency;
use crate::intersections::self_intersections;

const SWEEPS: usize = 10;

/// Smooths around self-intersections, up to `rounds` times with growing surroundings; returns how many pairs of
/// triangles still intersect. Topology and everything away from intersections stay. `mesh` must be valid.
pub fn mend(mesh: &mut Mesh, rounds: usize) -> usize {
    let adjacency = Adjacency::new(mesh.positions.len(), &mesh.triangles);
    let on_border = border_vertices(mesh);
    let mut pairs = self_intersections(mesh);
    for round in 0..rounds {
        if pairs.is_empty() {
            break;
        }
        let mut marked = vec![false; mesh.positions.len()];
        for triangle in pairs.iter().flat_map(|&(a, b)| [a, b]) {
            for vertex in mesh.triangles[triangle as usize] {
                marked[vertex as usize] = true;
            }
        }
        // One ring around the triangles, and more for stubborn places.
        for _ in 0..=round / 2 {
            let before = marked.clone();
            for (vertex, marked) in marked.iter_mut().enumerate() {
                *marked |= adjacency.of(vertex).iter().any(|&neighbour| before[neighbour as usize]);
            }
        }
        let moving: Vec<usize> = (0..marked.len()).filter(|&v| marked[v] && !on_border[v]).collect();
        for _ in 0..SWEEPS {
            for &vertex in &moving {
                let row = adjacency.of(vertex);
                let sum: Vec3A = row.iter().map(|&neighbour| Vec3A::from(mesh.positions[neighbour as usize])).sum();
                mesh.positions[vertex] = (sum / row.len() as f32).into();
            }
        }
        pairs = self_intersections(mesh);
    }
    pairs.len()
}

/// Vertices at edges of one triangle alone.
fn border_vertices(mesh: &Mesh) -> Vec<bool> {
    let sides = mesh.triangles.iter().flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)]);
    let mut edges: Vec<(u32, u32)> = sides.map(|(a, b)| (a.min(b), a.max(b))).collect();
    edges.sort_unstable();
    let mut border = vec![false; mesh.positions.len()];
    for group in edges.chunk_by(|a, b| a == b).filter(|group| group.len() == 1) {
        border[group[0].0 as usize] = true;
        border[group[0].1 as usize] = true;
    }
    border
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remesh::shapes::sphere;

    #[test]
    fn a_fold_is_smoothed_away_and_the_rest_stays() {
        let mut mesh = sphere(0.3, 24);
        // Some vertices of the top swap sides.
        for vertex in [20, 21, 22, 23] {
            mesh.positions[vertex][0] *= -0.7;
            mesh.positions[vertex][1] -= 0.05;
        }
        let before = mesh.clone();
        assert!(!self_intersections(&mesh).is_empty());
        assert_eq!(mend(&mut mesh, 12), 0);
        assert!(self_intersections(&mesh).is_empty());
        assert_eq!(mesh.triangles, before.triangles);
        let kept = mesh.positions.iter().zip(&before.positions).filter(|(a, b)| a == b).count();
        assert!(kept > mesh.positions.len() / 2, "{kept}");
        let clean = sphere(0.3, 8);
        let mut same = clean.clone();
        assert_eq!((mend(&mut same, 5), same == clean), (0, true));
        assert_eq!(mend(&mut Mesh::default(), 5), 0);
    }
}
