//! What a camera sees: coverage, and where each pixel's rays meet the surface.

use maquette_prior::frustum::PICTURE_PX;
use maquette_prior::shapes::{Content, Material, Shape, Solid, Vec3, slope};

use super::fill::{ALONG, BLOCK, Blocks, Rays};
use super::framing::Placement;

/// A place on the surface that a pixel sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    /// Row-major index of the pixel.
    pub(crate) pixel: u32,
    /// World position.
    pub(crate) point: Vec3,
    /// Unit world normal.
    pub(crate) normal: Vec3,
    /// Linear albedo.
    pub(crate) albedo: Vec3,
}

/// A picture before it is lit.
pub(crate) struct Picture {
    /// Coverage 0..=1, row-major.
    pub(crate) coverage: Vec<f32>,
    /// Places to light, in the order of their pixels.
    pub(crate) hits: Vec<Hit>,
}

/// Rays of every pixel.
const FIRST: [[f32; 2]; 2] = [[0.25, 0.3], [0.75, 0.7]];
/// Further rays of a pixel that the outline may cut: with the first, ten places spread evenly.
const FURTHER: [[f32; 2]; 8] =
    [[0.55, 0.1], [0.9, 0.15], [0.1, 0.55], [0.45, 0.5], [0.9, 0.45], [0.3, 0.8], [0.1, 0.9], [0.6, 0.9]];
/// Distance at which a ray has met the surface, in pixels.
const CONTACT_PX: f32 = 0.05;
/// Most steps of a ray in one block.
const MAX_STEPS: usize = 16;
/// Shortest step of a ray, in layers.
const MIN_STEP: f32 = 0.05;

impl Picture {
    /// Sphere tracing (Hart 1996) through the blocks. Two rays a pixel; ten where these or the neighbours disagree.
    pub(crate) fn of_shape(
        shape: &Shape,
        material: &Material,
        blocks: &Blocks,
        rays: &Rays,
        placement: &Placement,
    ) -> Self {
        let mut hits = Vec::new();
        let mut count = vec![0u8; PICTURE_PX * PICTURE_PX];
        for pixel in 0..count.len() {
            let (row, column) = (pixel / PICTURE_PX, pixel % PICTURE_PX);
            for [x, y] in FIRST {
                if let Some(at) = trace(shape, blocks, rays, column as f32 + x, row as f32 + y) {
                    count[pixel] += 1;
                    hits.push(hit(shape, material, placement, pixel, &at));
                }
            }
        }
        let mut coverage = vec![0.0; count.len()];
        for pixel in 0..count.len() {
            let (row, column) = (pixel / PICTURE_PX, pixel % PICTURE_PX);
            let differs = count[pixel] == 1
                || [(0, 1), (1, 0), (0, -1), (-1, 0)].iter().any(|(dr, dc)| {
                    let (r, c) = (row as isize + dr, column as isize + dc);
                    let inside = (0..PICTURE_PX as isize).contains(&r) && (0..PICTURE_PX as isize).contains(&c);
                    inside && count[r as usize * PICTURE_PX + c as usize] != count[pixel]
                });
            if !differs {
                coverage[pixel] = f32::from(count[pixel]) / FIRST.len() as f32;
                continue;
            }
            let mut covered = count[pixel];
            for [x, y] in FURTHER {
                if let Some(at) = trace(shape, blocks, rays, column as f32 + x, row as f32 + y) {
                    if covered == 0 {
                        hits.push(hit(shape, material, placement, pixel, &at));
                    }
                    covered += 1;
                }
            }
            coverage[pixel] = f32::from(covered) / (FIRST.len() + FURTHER.len()) as f32;
        }
        hits.sort_by_key(|hit| hit.pixel);
        Self { coverage, hits }
    }
}

/// Where a ray meets a shape, in the shape's space.
struct Meeting<'a> {
    point: Vec3,
    pixel_size: f32,
    parts: &'a [u16],
}

fn trace<'a>(shape: &Shape, blocks: &'a Blocks, rays: &Rays, x: f32, y: f32) -> Option<Meeting<'a>> {
    let (near, step) = rays.ray(x, y);
    let length = (step[0] * step[0] + step[1] * step[1] + step[2] * step[2]).sqrt();
    let (beside, _) = rays.ray(x + 1.0, y);
    let pixel_size = (0..3).map(|k| (beside[k] - near[k]).powi(2)).sum::<f32>().sqrt();
    let (block_column, block_row) = (x as usize / BLOCK, y as usize / BLOCK);
    for layer in 0..ALONG {
        let (content, parts) = blocks.at(Blocks::index(block_column, block_row, layer));
        if content == Content::Empty {
            continue;
        }
        let mut t = (layer * BLOCK) as f32;
        let end = t + BLOCK as f32;
        for _ in 0..MAX_STEPS {
            let point = std::array::from_fn(|k| near[k] + step[k] * t);
            if content == Content::Full {
                return Some(Meeting { point, pixel_size, parts });
            }
            let distance = shape.distance(point, parts);
            if distance < CONTACT_PX * pixel_size {
                return Some(Meeting { point, pixel_size, parts });
            }
            t += (distance / length).max(MIN_STEP);
            if t >= end {
                break;
            }
        }
    }
    None
}

fn hit(shape: &Shape, material: &Material, placement: &Placement, pixel: usize, at: &Meeting) -> Hit {
    let gradient = slope(shape, at.point, 0.25 * at.pixel_size, at.parts);
    let slot = shape.slot_at(at.point, at.parts);
    Hit {
        pixel: pixel as u32,
        point: placement.to_world(at.point),
        normal: placement.normal(gradient),
        albedo: material.albedo(slot, at.point),
    }
}
