//! Small meshes, and views of them, for this crate's tests.

use std::collections::HashMap;

use maquette_core::{Camera, Mesh, Plane, View, Views};
use maquette_raster::{GBuffer, face_normals, look_up_faces, rasterize};

/// A subdivided icosahedron of the given radius, wound outwards.
pub(crate) fn icosphere(subdivisions: usize, radius: f32) -> Mesh {
    let t = f32::midpoint(1.0, 5.0f32.sqrt());
    let mut positions: Vec<[f32; 3]> = vec![
        [-1.0, t, 0.0],
        [1.0, t, 0.0],
        [-1.0, -t, 0.0],
        [1.0, -t, 0.0],
        [0.0, -1.0, t],
        [0.0, 1.0, t],
        [0.0, -1.0, -t],
        [0.0, 1.0, -t],
        [t, 0.0, -1.0],
        [t, 0.0, 1.0],
        [-t, 0.0, -1.0],
        [-t, 0.0, 1.0],
    ];
    let mut triangles: Vec<[u32; 3]> = vec![
        [0, 11, 5],
        [0, 5, 1],
        [0, 1, 7],
        [0, 7, 10],
        [0, 10, 11],
        [1, 5, 9],
        [5, 11, 4],
        [11, 10, 2],
        [10, 7, 6],
        [7, 1, 8],
        [3, 9, 4],
        [3, 4, 2],
        [3, 2, 6],
        [3, 6, 8],
        [3, 8, 9],
        [4, 9, 5],
        [2, 4, 11],
        [6, 2, 10],
        [8, 6, 7],
        [9, 8, 1],
    ];
    for _ in 0..subdivisions {
        let mut middles: HashMap<(u32, u32), u32> = HashMap::new();
        let mut finer = Vec::with_capacity(triangles.len() * 4);
        for [a, b, c] in triangles {
            let mut middle = |p: u32, q: u32| {
                *middles.entry((p.min(q), p.max(q))).or_insert_with(|| {
                    let (p, q) = (positions[p as usize], positions[q as usize]);
                    positions.push(std::array::from_fn(|k| f32::midpoint(p[k], q[k])));
                    positions.len() as u32 - 1
                })
            };
            let (ab, bc, ca) = (middle(a, b), middle(b, c), middle(c, a));
            finer.extend([[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]);
        }
        triangles = finer;
    }
    for p in &mut positions {
        let length = p.iter().map(|x| x * x).sum::<f32>().sqrt();
        *p = p.map(|x| x * radius / length);
    }
    Mesh::new(positions, triangles).unwrap()
}

/// A torus around the y axis, wound outwards.
pub(crate) fn torus(major: f32, minor: f32, rings: u32, sides: u32) -> Mesh {
    let mut positions = Vec::new();
    let mut triangles = Vec::new();
    for i in 0..rings {
        let u = i as f32 / rings as f32 * std::f32::consts::TAU;
        for j in 0..sides {
            let v = j as f32 / sides as f32 * std::f32::consts::TAU;
            let r = major + minor * v.cos();
            positions.push([r * u.sin(), minor * v.sin(), r * u.cos()]);
            let (i1, j1) = ((i + 1) % rings, (j + 1) % sides);
            let (a, b, c, d) = (i * sides + j, i1 * sides + j, i1 * sides + j1, i * sides + j1);
            triangles.extend([[a, b, c], [a, c, d]]);
        }
    }
    Mesh::new(positions, triangles).unwrap()
}

/// A cube of edge 0.4 without its lid (+y), wound outwards.
pub(crate) fn open_box() -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
    let positions = (0..8).map(|k| [0, 1, 2].map(|axis| if k >> axis & 1 == 1 { 0.2 } else { -0.2 })).collect();
    let quads = [[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [0, 2, 3, 1], [4, 5, 7, 6]];
    let triangles = quads.iter().flat_map(|&[a, b, c, d]| [[a, b, c], [a, c, d]]).collect();
    (positions, triangles)
}

/// Six views of a mesh: coverage by 3x3 samples, normals by the ray through the pixel centre.
pub(crate) fn views_of(mesh: &Mesh, size: usize) -> Views {
    let normals = face_normals(&mesh.positions, &mesh.triangles);
    let view = |camera: Camera| {
        let large = camera.resized(3 * size, 3 * size);
        let covered = rasterize(&mesh.positions, &mesh.triangles, &large).triangle;
        let covered = covered.iter().map(|&t| [f32::from(u8::from(t != GBuffer::EMPTY))]).collect();
        let mask = Plane { width: 3 * size, height: 3 * size, data: covered }.resized(size, size);
        let normal = look_up_faces(&rasterize(&mesh.positions, &mesh.triangles, &camera), &normals);
        View { mask, camera, color: None, normal: Some(normal) }
    };
    Views { views: Camera::six_views(size).map(view).to_vec() }
}

/// All meshes as one.
pub(crate) fn joined(meshes: &[Mesh]) -> Mesh {
    let mut all = Mesh::default();
    for mesh in meshes {
        let offset = all.positions.len() as u32;
        all.positions.extend(&mesh.positions);
        all.triangles.extend(mesh.triangles.iter().map(|t| t.map(|vertex| vertex + offset)));
    }
    all
}
