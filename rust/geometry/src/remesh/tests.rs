use super::shapes::{euler_characteristic, plate, sphere, torus, touching_blobs};
use super::*;
use maquette_core::random;
use rand::RngExt as _;

/// How many edges have 1, 2, or more triangles, and how many triangles clash in direction with a neighbour.
fn edge_census(mesh: &Mesh) -> (usize, usize, usize, usize) {
    let mut edges: Vec<(u32, u32, bool)> = mesh
        .triangles
        .iter()
        .flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)])
        .map(|(a, b)| (a.min(b), a.max(b), a < b))
        .collect();
    edges.sort_unstable();
    let mut census = (0, 0, 0, 0);
    for group in edges.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
        match group.len() {
            1 => census.0 += 1,
            2 => census.1 += 1,
            _ => census.2 += 1,
        }
        if group.len() == 2 && group[0].2 == group[1].2 {
            census.3 += 1;
        }
    }
    census
}

fn smallest_shape(mesh: &Mesh) -> f32 {
    let corners = |t: &[u32; 3]| t.map(|v| Vec3::from(mesh.positions[v as usize]));
    mesh.triangles.iter().map(corners).map(|[a, b, c]| shape(a, b, c)).fold(1.0, f32::min)
}

/// Share of edges within 0.5..1.6 of `length`.
fn share_on_target(mesh: &Mesh, length: f32) -> f32 {
    let lengths: Vec<f32> = mesh
        .triangles
        .iter()
        .flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)])
        .map(|(a, b)| {
            (Vec3::from(mesh.positions[a as usize]) - Vec3::from(mesh.positions[b as usize])).length() / length
        })
        .collect();
    lengths.iter().filter(|l| (0.5..=1.6).contains(*l)).count() as f32 / lengths.len() as f32
}

fn volume(mesh: &Mesh) -> f32 {
    let corners = |t: &[u32; 3]| t.map(|v| Vec3::from(mesh.positions[v as usize]));
    mesh.triangles.iter().map(corners).map(|[a, b, c]| a.dot(b.cross(c)) / 6.0).sum()
}

fn run(mesh: &mut Mesh, length: f32, rounds: u32) {
    remesh(mesh, &mut Vec::new(), &Remesh { rounds, ..Remesh::uniform(length) }).unwrap();
}

#[test]
fn every_edit_keeps_the_half_edges_whole() {
    let mesh = torus(0.35, 0.12, 40, 20);
    let mut attributes = vec![0.0; mesh.positions.len()];
    let mut surface = Surface::new(&mesh, &attributes, &Remesh::uniform(0.03));
    surface.topology.check();
    surface.split_long_edges(usize::MAX);
    surface.topology.check();
    surface.collapse_short_edges();
    surface.topology.check();
    surface.flip_edges();
    surface.topology.check();
    surface.relax(0.5);
    let mut written = mesh;
    surface.write(&mut written, &mut attributes);
    assert_eq!(edge_census(&written).1 * 2, written.triangles.len() * 3);
    assert_eq!(attributes.len(), written.positions.len());
}

#[test]
fn edges_reach_the_target_and_the_surface_stays() {
    for (mesh, name) in [(sphere(0.4, 24), "sphere"), (torus(0.35, 0.12, 30, 14), "torus")] {
        for length in [0.012, 0.03, 0.05] {
            let mut remeshed = mesh.clone();
            run(&mut remeshed, length, 5);
            let share = share_on_target(&remeshed, length);
            assert!(share > 0.95, "{name} {length}: {share}");
            assert_eq!(euler_characteristic(&remeshed), euler_characteristic(&mesh), "{name}");
            let (border, inner, more, clash) = edge_census(&remeshed);
            assert_eq!((border, inner * 2, more, clash), (0, remeshed.triangles.len() * 3, 0, 0), "{name}");
            let change = volume(&remeshed) / volume(&mesh) - 1.0;
            assert!(change.abs() < 0.03, "{name} {length}: volume changed by {change}");
            assert!(smallest_shape(&remeshed) > 0.15, "{name} {length}: {}", smallest_shape(&remeshed));
        }
    }
}

#[test]
fn hundreds_of_calls_on_a_moving_noisy_sphere() {
    let mut random = random::stream(7, "remesh test");
    let mut mesh = sphere(0.4, 16);
    let mut attributes: Vec<f32> = mesh.positions.iter().flatten().copied().collect();
    for call in 0..300 {
        let length = random.random_range(0.02..0.08f32);
        // Spiky noise, then back to about the sphere, so that triangles squeeze and stretch.
        for position in &mut mesh.positions {
            let p = Vec3::from(*position);
            let radius =
                0.4 * (1.0 + if call % 3 == 0 { random.random_range(-0.2..0.2f32) * length / 0.4 } else { 0.0 });
            *position = (p * (radius / p.length())).into();
        }
        remesh(&mut mesh, &mut attributes, &Remesh::uniform(length)).unwrap();
        assert_eq!(euler_characteristic(&mesh), 2, "call {call}");
        let (border, inner, more, clash) = edge_census(&mesh);
        assert_eq!((border, inner * 2, more, clash), (0, mesh.triangles.len() * 3, 0, 0), "call {call}");
        assert_eq!(attributes.len(), 3 * mesh.positions.len());
        for &triangle in &mesh.triangles {
            let normal = Vec3::from(mesh.area_vector(triangle));
            let centre: Vec3 = triangle.iter().map(|&v| Vec3::from(mesh.positions[v as usize])).sum();
            assert!(normal.dot(centre) > 0.0, "call {call}: a triangle turned over");
        }
    }
    // Carried positions took part in every edit but were not moved by relaxing and noise: they still are near the sphere.
    for carried in attributes.chunks_exact(3) {
        let radius = Vec3::new(carried[0], carried[1], carried[2]).length();
        assert!((0.2..0.41).contains(&radius), "{radius}");
    }
}

#[test]
fn a_thin_plate_is_not_torn() {
    let mut mesh = plate(0.8, 0.5, 0.006, 8);
    let before = volume(&mesh);
    for length in [0.05, 0.02, 0.04, 0.015] {
        run(&mut mesh, length, 3);
        assert_eq!(euler_characteristic(&mesh), 2);
        assert_eq!(edge_census(&mesh).0 + edge_census(&mesh).2, 0);
        // Mean move of the two sides.
        let moved = (volume(&mesh) - before).abs() / (2.0 * 0.8 * 0.5);
        assert!(moved < 0.01 * length, "{length}: {moved}");
    }
}

#[test]
fn creases_stay_sharp() {
    let mut mesh = plate(0.6, 0.6, 0.6, 5);
    let before = volume(&mesh);
    run(&mut mesh, 0.04, 5);
    let off_axis = mesh
        .triangles
        .iter()
        .map(|&t| Vec3::from(mesh.area_vector(t)))
        .filter(|n| n.abs().max_element() < 0.99 * n.length())
        .count();
    assert!(off_axis as f32 <= 0.01 * mesh.triangles.len() as f32, "{off_axis} of {}", mesh.triangles.len());
    assert!((volume(&mesh) / before - 1.0).abs() < 0.005);
}

#[test]
fn an_open_border_keeps_its_shape() {
    let mut mesh = plate(0.6, 0.4, 0.2, 6);
    // Without its lower side the plate is an open box.
    mesh.triangles.retain(|t| !t.iter().all(|&v| mesh.positions[v as usize][1] < -0.099));
    let border_length = |mesh: &Mesh| {
        let mut edges: Vec<(u32, u32)> = mesh
            .triangles
            .iter()
            .flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)])
            .map(|(a, b)| (a.min(b), a.max(b)))
            .collect();
        edges.sort_unstable();
        edges
            .chunk_by(|left, right| left == right)
            .filter(|group| group.len() == 1)
            .map(|group| {
                let [p, q] = [group[0].0, group[0].1].map(|v| Vec3::from(mesh.positions[v as usize]));
                (p - q).length()
            })
            .sum::<f32>()
    };
    assert!((border_length(&mesh) - 2.0).abs() < 1e-4);
    for length in [0.02, 0.06] {
        run(&mut mesh, length, 3);
        assert!((border_length(&mesh) - 2.0).abs() < 1e-4, "{}", border_length(&mesh));
        assert_eq!(euler_characteristic(&mesh), 1);
    }
}

#[test]
fn places_that_are_not_manifold_are_kept() {
    let mut mesh = touching_blobs();
    let (_, _, more, _) = edge_census(&mesh);
    assert_eq!(more, 1, "the blobs share an edge");
    for length in [0.03, 0.06] {
        run(&mut mesh, length, 3);
        let (border, _, more, _) = edge_census(&mesh);
        assert_eq!((border, more), (0, 1));
    }
}

#[test]
fn per_vertex_targets_grade_the_mesh() {
    let mut mesh = sphere(0.4, 32);
    let lengths: Vec<f32> = mesh.positions.iter().map(|p| if p[1] > 0.0 { 0.02 } else { 0.06 }).collect();
    let settings = Remesh { edge_length: EdgeLength::PerVertex(&lengths), rounds: 5, ..Remesh::uniform(1.0) };
    remesh(&mut mesh, &mut Vec::new(), &settings).unwrap();
    let above = mesh.positions.iter().filter(|p| p[1] > 0.0).count();
    let below = mesh.positions.len() - above;
    assert!(above > 4 * below, "{above} {below}");
}

#[test]
fn bad_input_is_refused_and_empty_input_is_kept() {
    let mut empty = Mesh::default();
    run(&mut empty, 0.1, 2);
    assert!(empty.triangles.is_empty());
    let mut mesh = sphere(0.4, 8);
    for length in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = remesh(&mut mesh, &mut Vec::new(), &Remesh::uniform(length)).unwrap_err().to_string();
        assert!(error.contains("edge length"), "{error}");
    }
    assert!(remesh(&mut mesh, &mut vec![0.0; 7], &Remesh::uniform(0.1)).is_err());
    let short = Remesh { edge_length: EdgeLength::PerVertex(&[0.1]), ..Remesh::uniform(0.1) };
    assert!(remesh(&mut mesh, &mut Vec::new(), &short).is_err());
    mesh.triangles[0] = [0, 1, 99_999];
    assert!(remesh(&mut mesh, &mut Vec::new(), &Remesh::uniform(0.1)).is_err());
    // Degenerate, doubled and clashing triangles, all at once.
    let positions = vec![[0.0; 3], [0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    let triangles = vec![[0, 1, 2], [0, 0, 1], [0, 2, 3], [0, 2, 3], [2, 0, 3], [3, 2, 1]];
    let mut mesh = Mesh::new(positions, triangles).unwrap();
    run(&mut mesh, 0.1, 4);
    mesh.validate().unwrap();
    // A target far too fine stops at the vertex limit.
    let mut mesh = sphere(0.4, 8);
    let settings = Remesh { max_vertices: 5_000, ..Remesh::uniform(1e-6) };
    remesh(&mut mesh, &mut Vec::new(), &settings).unwrap();
    assert!(mesh.positions.len() <= 5_000);
}

#[test]
fn the_same_call_gives_the_same_mesh() {
    let (mut first, mut second) = (torus(0.35, 0.12, 30, 14), torus(0.35, 0.12, 30, 14));
    run(&mut first, 0.02, 3);
    run(&mut second, 0.02, 3);
    assert_eq!(first, second);
}
