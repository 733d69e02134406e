//! Scenes with known colour, rendered with more rays than the fit uses.
#![allow(dead_code, reason = "each user takes its own part")]

use maquette_core::{Camera, Mesh, Plane, View, Views};
use maquette_raster::{GBuffer, rasterize};

/// Sub-rays on each axis of a rendered pixel.
const SAMPLES: usize = 6;

/// Mean of `color` over each pixel's surface points, given their triangle and weights; straight alpha.
pub(crate) fn render(mesh: &Mesh, camera: &Camera, color: impl Fn(u32, [f32; 3]) -> [f32; 3]) -> Plane<4> {
    let fine = camera.resized(camera.width * SAMPLES, camera.height * SAMPLES);
    let gbuffer = rasterize(&mesh.positions, &mesh.triangles, &fine);
    let mut plane = Plane::filled(camera.width, camera.height, [0.0; 4]);
    for row in 0..fine.height {
        for column in 0..fine.width {
            let at = row * fine.width + column;
            if gbuffer.triangle[at] != GBuffer::EMPTY {
                let rgb = color(gbuffer.triangle[at], gbuffer.weights(at));
                let pixel = plane.at_mut(row / SAMPLES, column / SAMPLES);
                for k in 0..3 {
                    pixel[k] += rgb[k];
                }
                pixel[3] += 1.0;
            }
        }
    }
    for pixel in &mut plane.data {
        for k in 0..3 {
            pixel[k] /= pixel[3].max(1.0);
        }
        pixel[3] /= (SAMPLES * SAMPLES) as f32;
    }
    plane
}

/// World position of a point of a triangle.
pub(crate) fn position(mesh: &Mesh, triangle: u32, weights: [f32; 3]) -> [f32; 3] {
    let corners = mesh.triangles[triangle as usize].map(|vertex| mesh.positions[vertex as usize]);
    std::array::from_fn(|k| (0..3).map(|c| weights[c] * corners[c][k]).sum())
}

/// The six views of `mesh`, painted by a function of the world position.
pub(crate) fn six_views(mesh: &Mesh, size: usize, paint: impl Fn([f32; 3]) -> [f32; 3]) -> Views {
    let views = Camera::six_views(size).into_iter().map(|camera| {
        let color = render(mesh, &camera, |triangle, weights| paint(position(mesh, triangle, weights)));
        let mask = Plane { width: size, height: size, data: color.data.iter().map(|pixel| [pixel[3]]).collect() };
        View { camera, mask, color: Some(color), normal: None }
    });
    Views { views: views.collect() }
}

/// Bilinear, repeating look-up in linear light, as renderers do it.
pub(crate) fn look_up(texture: &Plane<4>, uv: [f32; 2]) -> [f32; 3] {
    let (x, y) = (uv[0] * texture.width as f32 - 0.5, (1.0 - uv[1]) * texture.height as f32 - 0.5);
    let (fx, fy) = (x - x.floor(), y - y.floor());
    let at = |dx: i64, dy: i64| {
        let column = (x.floor() as i64 + dx).rem_euclid(texture.width as i64);
        let row = (y.floor() as i64 + dy).rem_euclid(texture.height as i64);
        texture.at(row as usize, column as usize)
    };
    std::array::from_fn(|k| {
        let top = at(0, 0)[k] * (1.0 - fx) + at(1, 0)[k] * fx;
        let bottom = at(0, 1)[k] * (1.0 - fx) + at(1, 1)[k] * fx;
        top * (1.0 - fy) + bottom * fy
    })
}

/// Peak signal-to-noise ratio over the silhouette, of linear light.
pub(crate) fn psnr(got: &Plane<4>, wanted: &Plane<4>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (got, wanted) in got.data.iter().zip(&wanted.data) {
        if wanted[3] > 0.0 {
            sum += (0..3).map(|k| f64::from(got[k] - wanted[k]).powi(2)).sum::<f64>();
            count += 3.0;
        }
    }
    -10.0 * (sum / f64::max(count, 1.0)).max(1e-12).log10()
}

/// A closed sphere of radius 0.45.
pub(crate) fn sphere(rings: u32) -> Mesh {
    let around = 2 * rings;
    let mut positions = vec![[0.0, 0.45, 0.0]];
    for ring in 1..rings {
        for step in 0..around {
            let a = std::f32::consts::PI * ring as f32 / rings as f32;
            let b = std::f32::consts::TAU * step as f32 / around as f32;
            positions.push([0.45 * a.sin() * b.sin(), 0.45 * a.cos(), 0.45 * a.sin() * b.cos()]);
        }
    }
    positions.push([0.0, -0.45, 0.0]);
    let last = positions.len() as u32 - 1;
    let at = |ring: u32, step: u32| 1 + (ring - 1) * around + step % around;
    let mut triangles = Vec::new();
    for step in 0..around {
        triangles.push([0, at(1, step), at(1, step + 1)]);
        for ring in 1..rings - 1 {
            triangles.push([at(ring, step), at(ring + 1, step), at(ring + 1, step + 1)]);
            triangles.push([at(ring, step), at(ring + 1, step + 1), at(ring, step + 1)]);
        }
        triangles.push([at(rings - 1, step), last, at(rings - 1, step + 1)]);
    }
    Mesh { positions, triangles, ..Mesh::default() }
}

/// An axis-aligned cube from -`half` to `half` around `center`.
pub(crate) fn cube(center: [f32; 3], half: f32) -> Mesh {
    let positions = (0..8)
        .map(|corner| std::array::from_fn(|k| center[k] + if corner >> k & 1 == 1 { half } else { -half }))
        .collect();
    let quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
    let triangles = quads.into_iter().flat_map(|[a, b, c, d]| [[a, b, c], [a, c, d]]).collect();
    Mesh { positions, triangles, ..Mesh::default() }
}

/// Two meshes in one.
pub(crate) fn join(mut a: Mesh, b: &Mesh) -> Mesh {
    let first = a.positions.len() as u32;
    a.positions.extend(&b.positions);
    a.triangles.extend(b.triangles.iter().map(|triangle| triangle.map(|vertex| vertex + first)));
    a
}

/// Bright stripes and spots with hard edges; never darker than 0.2.
pub(crate) fn pattern([x, y, z]: [f32; 3]) -> [f32; 3] {
    let stripe = (12.0 * x + 7.0 * y).sin() > 0.0;
    let spot = (15.0 * y).sin() * (15.0 * z).sin() * (15.0 * x).cos() > 0.2;
    [if stripe { 0.8 } else { 0.3 }, if spot { 0.9 } else { 0.4 }, 0.5 + 0.25 * (5.0 * z).sin()]
}

/// `count` separate cubes on a grid.
pub(crate) fn boxes(count: u32) -> Mesh {
    let side = f64::from(count).cbrt().ceil() as u32;
    let cell = 0.8 / side as f32;
    (0..count).fold(Mesh::default(), |mesh, index| {
        let place = [index % side, index / side % side, index / side / side];
        join(mesh, &cube(place.map(|k| (k as f32 + 0.5) * cell - 0.4), 0.3 * cell))
    })
}
