//! Signed distance on a cube of samples, from a field whose level is the surface or from a solid.

use super::shape::{Content, Solid};
use super::vector::Vec3;

/// Signed distance on a cube of samples, world units, negative inside.
///
/// Sample `(x, y, z)` is at `values[(z * size + y) * size + x]` and at world position `(x + 0.5) / size - 0.5`, and so on.
#[derive(Clone, Debug, PartialEq)]
pub struct SdfCube {
    /// Samples on a side.
    pub size: usize,
    /// Distances, clipped to `-REACH..=REACH`.
    pub values: Vec<f32>,
}

impl SdfCube {
    /// Largest distance that is told apart.
    pub const REACH: f32 = 1.0 / 16.0;

    /// Distances to the level one half of `field`, above which is inside.
    pub fn from_level(field: &[f32], size: usize) -> Self {
        Self { size, values: distances(field, size) }
    }

    /// Distances to the surface of `solid`, whose space is `to_solid` of the world, a linear map that makes lengths at most
    /// `stretch` times longer.
    pub fn of_solid(solid: &impl Solid, to_solid: impl Fn(Vec3) -> Vec3, stretch: f32, size: usize) -> Self {
        // Not distances in the world, but where they change sign they tell the surface.
        let mut field = vec![f32::MIN; size * size * size];
        let all = solid.all_parts();
        let block = Block { low: [0; 3], size: size.next_power_of_two() };
        fill(&mut field, size, solid, &to_solid, stretch, block, &all);
        Self::from_level(&field, size)
    }
}

/// A cube of samples.
#[derive(Clone, Copy)]
struct Block {
    low: [usize; 3],
    size: usize,
}

/// Samples on a side of a block whose parts are not told apart any more.
const SMALLEST_BLOCK: usize = 4;

/// One half minus the distance of every sample of a block near the surface, far below or above elsewhere.
fn fill(
    field: &mut [f32],
    size: usize,
    solid: &impl Solid,
    to_solid: &impl Fn(Vec3) -> Vec3,
    stretch: f32,
    block: Block,
    among: &[u16],
) {
    if block.low.iter().any(|&low| low >= size) {
        return;
    }
    let cell = 1.0 / size as f32;
    let at = |k: usize| (k as f32 + 0.5) * cell - 0.5;
    let half = 0.5 * block.size as f32;
    let center = to_solid(block.low.map(|low| (low as f32 + half) * cell - 0.5));
    let mut active = Vec::new();
    // A sample more, so that the neighbours across the surface are told as well.
    let content = solid.prune(center, 1.733 * (half + 1.0) * cell * stretch, among, &mut active);
    if content == Content::Mixed && block.size > SMALLEST_BLOCK {
        let half = block.size / 2;
        for child in 0..8 {
            let low = std::array::from_fn(|k| block.low[k] + (child >> k & 1) * half);
            fill(field, size, solid, to_solid, stretch, Block { low, size: half }, &active);
        }
        return;
    }
    let range = |k: usize| block.low[k]..(block.low[k] + block.size).min(size);
    for z in range(2) {
        for y in range(1) {
            for x in range(0) {
                field[(z * size + y) * size + x] = match content {
                    Content::Empty => -1.0,
                    Content::Full => 2.0,
                    Content::Mixed => 0.5 - solid.distance(to_solid([at(x), at(y), at(z)]), &active),
                };
            }
        }
    }
}

/// Signed distance to the level one half, clipped: to the places where the level crosses grid edges, and beside the surface
/// to the plane through the crossings on a sample's own edges.
fn distances(field: &[f32], size: usize) -> Vec<f32> {
    let cell = 1.0 / size as f32;
    let reach = (SdfCube::REACH / cell).ceil() as isize + 1;
    let mut values: Vec<f32> =
        field.iter().map(|value| if *value > 0.5 { -SdfCube::REACH } else { SdfCube::REACH }).collect();
    for z in 0..size {
        for y in 0..size {
            for x in 0..size {
                let here = field[(z * size + y) * size + x] - 0.5;
                for axis in 0..3 {
                    let mut next = [x, y, z];
                    next[axis] += 1;
                    if next[axis] == size {
                        continue;
                    }
                    let there = field[(next[2] * size + next[1]) * size + next[0]] - 0.5;
                    if (here > 0.0) == (there > 0.0) {
                        continue;
                    }
                    let mut crossing = [x as f32, y as f32, z as f32];
                    crossing[axis] += here / (here - there);
                    splat(&mut values, size, crossing, reach, cell);
                }
            }
        }
    }
    for z in 0..size {
        for y in 0..size {
            for x in 0..size {
                let index = (z * size + y) * size + x;
                let here = field[index] - 0.5;
                let mut sum = 0.0;
                for (at, stride) in [(x, 1), (y, size), (z, size * size)] {
                    let crossing = |there: f32| {
                        let there = there - 0.5;
                        if (here > 0.0) == (there > 0.0) { f32::MAX } else { (here / (here - there)).max(1e-4) }
                    };
                    let before = if at > 0 { crossing(field[index - stride]) } else { f32::MAX };
                    let after = if at + 1 < size { crossing(field[index + stride]) } else { f32::MAX };
                    sum += 1.0 / before.min(after).powi(2);
                }
                if sum > 0.0 {
                    let value = &mut values[index];
                    *value = value.abs().min(cell / sum.sqrt()).copysign(*value);
                }
            }
        }
    }
    values
}

/// Lowers the distances around a point of the surface (in samples).
fn splat(values: &mut [f32], size: usize, point: Vec3, reach: isize, cell: f32) {
    let range = |k: usize| {
        let middle = point[k].round() as isize;
        (middle - reach).max(0) as usize..((middle + reach + 1).max(0) as usize).min(size)
    };
    for z in range(2) {
        for y in range(1) {
            let across = (z as f32 - point[2]).powi(2) + (y as f32 - point[1]).powi(2);
            let row = (z * size + y) * size;
            for x in range(0) {
                let distance = cell * (across + (x as f32 - point[0]).powi(2)).sqrt();
                let value = &mut values[row + x];
                if distance < value.abs() {
                    *value = distance.copysign(*value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Primitive, Shape};
    use super::*;

    #[test]
    fn a_ball_has_its_distance() {
        let mut shape = Shape::default();
        shape.add(Primitive::Ellipsoid([0.6; 3]));
        // The shape is twice as large in its own space.
        let cube = SdfCube::of_solid(&shape, |p| p.map(|x| 2.0 * x), 2.0, 32);
        for (index, value) in cube.values.iter().enumerate() {
            let p = [index % 32, index / 32 % 32, index / 1024].map(|k| (k as f32 + 0.5) / 32.0 - 0.5);
            let truth = (super::super::vector::length(p) - 0.3).clamp(-SdfCube::REACH, SdfCube::REACH);
            // Samples none of whose own edges crosses the surface take the nearest crossing for the nearest point of it.
            let near = if truth.abs() < 0.3 / 32.0 { 0.05 } else { 0.5 };
            assert!((value - truth).abs() < near / 32.0, "{p:?} {value} {truth}");
        }
    }
}
