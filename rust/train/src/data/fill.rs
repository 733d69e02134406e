//! Which voxels of the frustum a solid fills.
//!
//! The frustum is cut into blocks of 4 x 4 pixels and 4 layers; parts of the solid that cannot reach a block are not
//! asked there, in two steps of size.

use maquette_prior::frustum::{DEPTH_BINS, Frustum, PICTURE_PX};
use maquette_prior::shapes::{Content, Solid, Vec3, apply};

use super::framing::Placement;

/// Pixels and layers on a side of a block.
pub(crate) const BLOCK: usize = 4;
/// Blocks across the picture.
pub(crate) const ACROSS: usize = PICTURE_PX / BLOCK;
/// Blocks along the optical axis.
pub(crate) const ALONG: usize = DEPTH_BINS / BLOCK;

/// The rays of the picture in the shape's own space.
pub(crate) struct Rays {
    near: [Vec3; 3],
    far: [Vec3; 3],
}

impl Rays {
    pub(crate) fn new(frustum: &Frustum, placement: &Placement) -> Self {
        let plane = |layer: f32| {
            let origin = frustum.to_world([0.0, 0.0, layer]);
            let across = frustum.to_world([1.0, 0.0, layer]);
            let down = frustum.to_world([0.0, 1.0, layer]);
            let step = |to: Vec3| apply(&placement.shape_from_world, std::array::from_fn(|k| to[k] - origin[k]));
            [placement.to_shape(origin), step(across), step(down)]
        };
        Self { near: plane(0.0), far: plane(DEPTH_BINS as f32) }
    }

    /// Point at layer 0 and step per layer of the ray through a pixel position.
    pub(crate) fn ray(&self, column: f32, row: f32) -> (Vec3, Vec3) {
        let on = |plane: &[Vec3; 3]| -> Vec3 {
            std::array::from_fn(|k| plane[0][k] + column * plane[1][k] + row * plane[2][k])
        };
        let (near, far) = (on(&self.near), on(&self.far));
        (near, std::array::from_fn(|k| (far[k] - near[k]) / DEPTH_BINS as f32))
    }

    fn point(&self, column: f32, row: f32, layer: f32) -> Vec3 {
        let (near, step) = self.ray(column, row);
        std::array::from_fn(|k| near[k] + step[k] * layer)
    }

    /// Middle and radius of a box of frustum coordinates.
    fn ball(&self, low: [usize; 3], size: usize) -> (Vec3, f32) {
        let low = low.map(|x| x as f32);
        let size = size as f32;
        let center = self.point(low[0] + 0.5 * size, low[1] + 0.5 * size, low[2] + 0.5 * size);
        let mut radius2 = 0.0f32;
        for corner in 0..8u8 {
            let at = |k: usize| low[k] + if corner >> k & 1 == 1 { size } else { 0.0 };
            let p = self.point(at(0), at(1), at(2));
            radius2 = radius2.max((0..3).map(|k| (p[k] - center[k]).powi(2)).sum());
        }
        (center, radius2.sqrt())
    }
}

/// What each block holds.
pub(crate) struct Blocks {
    content: Vec<Content>,
    first: Vec<u32>,
    parts: Vec<u16>,
}

impl Blocks {
    /// Index of block `(column, row, layer)`.
    pub(crate) fn index(column: usize, row: usize, layer: usize) -> usize {
        (row * ACROSS + column) * ALONG + layer
    }

    pub(crate) fn of(solid: &impl Solid, rays: &Rays) -> Self {
        let count = ACROSS * ACROSS * ALONG;
        let mut content = vec![Content::Empty; count];
        let mut active: Vec<Vec<u16>> = vec![Vec::new(); count];
        let all = solid.all_parts();
        let (mut coarse, mut fine) = (Vec::new(), Vec::new());
        for row in 0..ACROSS / 2 {
            for column in 0..ACROSS / 2 {
                for layer in 0..ALONG / 2 {
                    let (center, radius) = rays.ball([column, row, layer].map(|k| k * 2 * BLOCK), 2 * BLOCK);
                    let outer = solid.prune(center, radius, &all, &mut coarse);
                    for child in 0..8usize {
                        let (c, r, l) =
                            (2 * column + (child & 1), 2 * row + (child >> 1 & 1), 2 * layer + (child >> 2));
                        let index = Self::index(c, r, l);
                        content[index] = if outer == Content::Mixed {
                            let (center, radius) = rays.ball([c, r, l].map(|k| k * BLOCK), BLOCK);
                            let inner = solid.prune(center, radius, &coarse, &mut fine);
                            if inner == Content::Mixed {
                                active[index].extend_from_slice(&fine);
                            }
                            inner
                        } else {
                            outer
                        };
                    }
                }
            }
        }
        let mut first = Vec::with_capacity(count + 1);
        let mut parts = Vec::new();
        for list in &active {
            first.push(parts.len() as u32);
            parts.extend_from_slice(list);
        }
        first.push(parts.len() as u32);
        Self { content, first, parts }
    }

    /// Content of a block and the parts that matter there.
    pub(crate) fn at(&self, index: usize) -> (Content, &[u16]) {
        let range = self.first[index] as usize..self.first[index + 1] as usize;
        (self.content[index], &self.parts[range])
    }

    /// 1 in each voxel whose centre is inside, layer by layer; of a plate that passes between the centres of two layers the
    /// nearer layer is filled, so that what is seen is there.
    pub(crate) fn occupancy(&self, solid: &impl Solid, rays: &Rays) -> Vec<u8> {
        let area = PICTURE_PX * PICTURE_PX;
        let mut occupancy = vec![0; DEPTH_BINS * area];
        for pixel in 0..area {
            let (row, column) = (pixel / PICTURE_PX, pixel % PICTURE_PX);
            let (near, step) = rays.ray(column as f32 + 0.5, row as f32 + 0.5);
            let half_layer = 0.5 * (step[0] * step[0] + step[1] * step[1] + step[2] * step[2]).sqrt();
            let mut run = Run { occupancy: &mut occupancy, pixel, entered: None, filled: false };
            for layer in 0..ALONG {
                let (content, parts) = self.at(Self::index(column / BLOCK, row / BLOCK, layer));
                let first = layer * BLOCK;
                if content != Content::Mixed {
                    for l in first..first + BLOCK {
                        run.sample(l as f32 + 0.5, content == Content::Full);
                    }
                    continue;
                }
                for l in first..first + BLOCK {
                    let t = l as f32 + 0.5;
                    let distance = |t: f32| solid.distance(std::array::from_fn(|k| near[k] + step[k] * t), parts);
                    let middle = distance(t);
                    let cut = middle.abs() < half_layer;
                    if cut {
                        run.sample(t - BETWEEN, distance(t - BETWEEN) < 0.0);
                    }
                    run.sample(t, middle < 0.0);
                    if cut {
                        run.sample(t + BETWEEN, distance(t + BETWEEN) < 0.0);
                    }
                }
            }
            run.sample(DEPTH_BINS as f32, false);
        }
        occupancy
    }
}

/// Distance of the extra samples from a layer's middle, in layers.
const BETWEEN: f32 = 1.0 / 3.0;

/// A stretch of one ray inside of the solid.
struct Run<'a> {
    occupancy: &'a mut [u8],
    pixel: usize,
    /// First and last sample of the stretch.
    entered: Option<[f32; 2]>,
    filled: bool,
}

impl Run<'_> {
    /// Takes the next sample, at depth `t` in layers.
    fn sample(&mut self, t: f32, inside: bool) {
        let middle_of_layer = t.fract() == 0.5;
        match (inside, self.entered) {
            (true, entered) => {
                self.entered = Some([entered.map_or(t, |run| run[0]), t]);
                if middle_of_layer {
                    self.fill(t);
                    self.filled = true;
                }
            }
            (false, Some([first, last])) => {
                if !self.filled {
                    self.fill(f32::midpoint(first, last));
                }
                (self.entered, self.filled) = (None, false);
            }
            (false, None) => {}
        }
    }

    fn fill(&mut self, t: f32) {
        self.occupancy[(t as usize).min(DEPTH_BINS - 1) * PICTURE_PX * PICTURE_PX + self.pixel] = 1;
    }
}
