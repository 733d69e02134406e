//! Meshes that tests measure against.

use maquette_core::Mesh;

/// A sphere of `2 rings² + ...` triangles, made from latitudes and longitudes, so that triangles differ much in shape.
pub(crate) fn sphere(radius: f32, rings: u32) -> Mesh {
    let around = 2 * rings;
    let mut positions = vec![[0.0, radius, 0.0]];
    for ring in 1..rings {
        let polar = std::f32::consts::PI * ring as f32 / rings as f32;
        for k in 0..around {
            let azimuth = std::f32::consts::TAU * k as f32 / around as f32;
            positions.push([
                radius * polar.sin() * azimuth.sin(),
                radius * polar.cos(),
                radius * polar.sin() * azimuth.cos(),
            ]);
        }
    }
    positions.push([0.0, -radius, 0.0]);
    let at = |ring: u32, k: u32| 1 + (ring - 1) * around + k % around;
    let last = positions.len() as u32 - 1;
    let mut triangles = Vec::new();
    for k in 0..around {
        triangles.push([0, at(1, k), at(1, k + 1)]);
        for ring in 1..rings - 1 {
            triangles.push([at(ring, k), at(ring + 1, k), at(ring, k + 1)]);
            triangles.push([at(ring, k + 1), at(ring + 1, k), at(ring + 1, k + 1)]);
        }
        triangles.push([at(rings - 1, k), last, at(rings - 1, k + 1)]);
    }
    Mesh::new(positions, triangles).expect("indices are in range")
}

/// A torus around +Y.
pub(crate) fn torus(radius: f32, tube: f32, around: u32, across: u32) -> Mesh {
    let mut positions = Vec::new();
    let mut triangles = Vec::new();
    let at = |i: u32, j: u32| (i % around) * across + j % across;
    for i in 0..around {
        let u = std::f32::consts::TAU * i as f32 / around as f32;
        for j in 0..across {
            let v = std::f32::consts::TAU * j as f32 / across as f32;
            let r = radius + tube * v.cos();
            positions.push([r * u.sin(), tube * v.sin(), r * u.cos()]);
            triangles.push([at(i, j), at(i + 1, j), at(i, j + 1)]);
            triangles.push([at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)]);
        }
    }
    Mesh::new(positions, triangles).expect("indices are in range")
}

/// A box of `width` x `height` x `depth` (along X, Y, Z), each side cut into `cuts`² squares.
pub(crate) fn plate(width: f32, depth: f32, height: f32, cuts: u32) -> Mesh {
    let size = [width, height, depth];
    let mut mesh = Mesh::default();
    for axis in 0..3 {
        let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
        for side in [-0.5f32, 0.5] {
            let first = mesh.positions.len() as u32;
            for i in 0..=cuts {
                for j in 0..=cuts {
                    let mut p = [0.0; 3];
                    p[axis] = side * size[axis];
                    p[u] = (i as f32 / cuts as f32 - 0.5) * size[u];
                    p[v] = (j as f32 / cuts as f32 - 0.5) * size[v];
                    mesh.positions.push(p);
                }
            }
            for i in 0..cuts {
                for j in 0..cuts {
                    let a = first + i * (cuts + 1) + j;
                    let (b, c, d) = (a + cuts + 1, a + cuts + 2, a + 1);
                    let quad = if side > 0.0 { [[a, b, c], [a, c, d]] } else { [[a, c, b], [a, d, c]] };
                    mesh.triangles.extend(quad);
                }
            }
        }
    }
    weld(&mut mesh);
    mesh
}

/// Two octahedron-like blobs that share one edge.
pub(crate) fn touching_blobs() -> Mesh {
    let mut mesh = Mesh::default();
    for centre in [-0.2f32, 0.2] {
        let first = mesh.positions.len() as u32;
        let toward = -centre.signum();
        // The edge from (0, 0, -0.1) to (0, 0, 0.1) is common.
        mesh.positions.extend([
            [0.0, 0.0, -0.1],
            [0.0, 0.0, 0.1],
            [centre, 0.2, 0.0],
            [centre, -0.2, 0.0],
            [centre - 0.2 * toward, 0.0, 0.0],
        ]);
        for [a, b, c] in [[0, 1, 2], [1, 0, 3], [0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4]] {
            let triangle = [first + a, first + b, first + c];
            mesh.triangles.push(if toward > 0.0 { [triangle[0], triangle[2], triangle[1]] } else { triangle });
        }
    }
    weld(&mut mesh);
    mesh
}

/// Vertices less edges plus triangles.
pub(crate) fn euler_characteristic(mesh: &Mesh) -> i64 {
    let mut edges: Vec<(u32, u32)> = mesh
        .triangles
        .iter()
        .flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)])
        .map(|(a, b)| (a.min(b), a.max(b)))
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let mut vertices: Vec<u32> = mesh.triangles.iter().flatten().copied().collect();
    vertices.sort_unstable();
    vertices.dedup();
    vertices.len() as i64 - edges.len() as i64 + mesh.triangles.len() as i64
}

/// Makes vertices at the same place one.
fn weld(mesh: &mut Mesh) {
    let key = |p: &[f32; 3]| p.map(|x| (x * 1e5).round() as i64);
    let mut kept: Vec<[f32; 3]> = Vec::new();
    let index: Vec<u32> = mesh
        .positions
        .iter()
        .map(|p| {
            let found = kept.iter().position(|q| key(q) == key(p));
            found.unwrap_or_else(|| {
                kept.push(*p);
                kept.len() - 1
            }) as u32
        })
        .collect();
    mesh.positions = kept;
    for vertex in mesh.triangles.iter_mut().flatten() {
        *vertex = index[*vertex as usize];
    }
}
