//! Scenes that the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses some of them")]

use maquette_core::Camera;
use nalgebra::{Point3, Rotation3};

/// A camera at (0, 0, 1) that looks along -z: the world plane z = 0 has 1 pixel for every `1 / focal`.
pub(crate) fn frontal_camera(width: usize, height: usize, focal_px: f32) -> Camera {
    Camera {
        width,
        height,
        focal_px: [focal_px; 2],
        center_px: [width as f32 / 2.0, height as f32 / 2.0],
        world_from_camera: Rotation3::identity(),
        position: Point3::new(0.0, 0.0, 1.0),
    }
}

/// A bumpy sphere of `2 * rings * sectors` triangles, roughly, inside radius 0.45.
pub(crate) fn bumpy_sphere(rings: usize, sectors: usize, bump: f32) -> (Vec<[f32; 3]>, Vec<[u32; 3]>) {
    let mut positions = Vec::new();
    for ring in 0..=rings {
        let polar = std::f32::consts::PI * ring as f32 / rings as f32;
        for sector in 0..sectors {
            let azimuth = std::f32::consts::TAU * sector as f32 / sectors as f32;
            let radius = 0.38 * (1.0 + bump * (3.0 * polar).sin() * (4.0 * azimuth).cos());
            positions.push([
                radius * polar.sin() * azimuth.sin(),
                radius * polar.cos(),
                radius * polar.sin() * azimuth.cos(),
            ]);
        }
    }
    let mut triangles = Vec::new();
    for ring in 0..rings {
        for sector in 0..sectors {
            let next = (sector + 1) % sectors;
            let [a, b, c, d] = [(ring, sector), (ring, next), (ring + 1, sector), (ring + 1, next)]
                .map(|(ring, sector)| (ring * sectors + sector) as u32);
            if ring > 0 {
                triangles.push([a, c, b]);
            }
            if ring + 1 < rings {
                triangles.push([b, c, d]);
            }
        }
    }
    (positions, triangles)
}
