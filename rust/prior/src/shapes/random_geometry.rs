//! The random geometry of LatentDreamer: shapes that mean nothing, for networks that must not take any object for granted.
//!
//! Random blocks are joined in an occupancy grid; rounds of a normalised Gaussian blur of random size round and melt them;
//! the level one half is the surface, given as a signed distance.

use super::cube::SdfCube;
use super::dice::Dice;
use super::primitives::Primitive;
use super::vector::{Vec3, apply};

/// Random geometry of `size` samples a side, a pure function of its seed. The shape is centred on its bounding box; its
/// farthest point is at about 0.48.
pub fn random_geometry(seed: u64, size: usize) -> SdfCube {
    let mut dice = Dice::new(seed, "random geometry");
    loop {
        let mut blocks = blocks(&mut dice);
        // Radius and deviation of each round of blur.
        let mut rounds: Vec<[f32; 2]> = (0..dice.count(1, 4))
            .map(|_| {
                let radius = dice.log_between(0.01, 0.06);
                [radius, radius * dice.between(0.3, 0.7)]
            })
            .collect();
        let Some((center, radius)) = extent(&melted(&blocks, &rounds, MEASURING_SIZE)) else { continue };
        let scale = CANONICAL_RADIUS / radius;
        for block in &mut blocks {
            for k in 0..3 {
                block.center[k] = (block.center[k] - center[k]) * scale;
                block.half[k] *= scale;
            }
        }
        for round in &mut rounds {
            *round = round.map(|x| x * scale);
        }
        return SdfCube::from_level(&melted(&blocks, &rounds, size), size);
    }
}

/// Distance of the farthest point from the origin.
const CANONICAL_RADIUS: f32 = 0.48;
/// Level of the surface on the measuring grid: below one half, so that thin tips count.
const TIP_LEVEL: f32 = 0.35;
/// Samples a side on which a shape is measured.
const MEASURING_SIZE: usize = 32;
/// Fewer samples inside of the shape than this, and too little is left of it.
const LEAST_INSIDE: usize = 150;

/// The joined blocks after all rounds of blur; the shape is where it is above one half.
fn melted(blocks: &[Block], rounds: &[[f32; 2]], size: usize) -> Vec<f32> {
    let mut field = occupancy(blocks, size);
    for [radius, sigma] in rounds {
        let (radius, sigma) = (radius * size as f32, sigma * size as f32);
        blur(&mut field, size, radius.round().max(1.0) as usize, sigma.max(0.3));
    }
    field
}

/// Middle of the bounding box and distance of the farthest point from it, on the measuring grid; none where too little is
/// inside.
fn extent(field: &[f32]) -> Option<(Vec3, f32)> {
    let size = MEASURING_SIZE;
    let at = |k: usize| (k as f32 + 0.5) / size as f32 - 0.5;
    let inside: Vec<Vec3> = field
        .iter()
        .enumerate()
        .filter(|(_, value)| **value > TIP_LEVEL)
        .map(|(index, _)| [at(index % size), at(index / size % size), at(index / size / size)])
        .collect();
    if inside.len() < LEAST_INSIDE {
        return None;
    }
    let (mut low, mut high) = ([f32::MAX; 3], [f32::MIN; 3]);
    for p in &inside {
        for k in 0..3 {
            low[k] = low[k].min(p[k]);
            high[k] = high[k].max(p[k]);
        }
    }
    let center: Vec3 = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
    let radius = inside.iter().map(|p| super::vector::length(super::vector::sub(*p, center))).fold(0.0, f32::max);
    Some((center, radius + 0.3 / size as f32))
}

/// A box, ellipsoid or cylinder, turned.
struct Block {
    center: Vec3,
    half: Vec3,
    local_from_world: super::vector::Mat3,
    kind: usize,
    /// Taken away instead of added.
    cut: bool,
}

impl Block {
    /// Signed distance, of ellipses to first order only.
    fn distance(&self, p: Vec3) -> f32 {
        let q = apply(&self.local_from_world, std::array::from_fn(|k| p[k] - self.center[k]));
        let half = self.half;
        let off: Vec3 = std::array::from_fn(|k| q[k].abs() - half[k]);
        match self.kind {
            0 => off[0].max(off[1]).max(off[2]),
            1 => Primitive::Ellipsoid(half).distance(q),
            _ => {
                let across = (q[0] / half[0]).hypot(q[2] / half[2]);
                ((across - 1.0) * half[0].min(half[2])).max(off[1])
            }
        }
    }

    /// Half sides of its bounding box.
    fn reach(&self) -> Vec3 {
        std::array::from_fn(|axis| (0..3).map(|k| (self.local_from_world[k][axis] * self.half[k]).abs()).sum())
    }
}

/// Blocks that touch each other, brought into the cube.
fn blocks(dice: &mut Dice) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let cuts = if dice.chance(0.35) { dice.between(0.1, 0.4) } else { 0.0 };
    for index in 0..dice.count(2, 14) {
        let size = if index == 0 { dice.between(0.12, 0.3) } else { dice.log_between(0.04, 0.22) };
        let half = std::array::from_fn(|_| size * dice.log_between(0.35, 1.6));
        let local_from_world = if dice.chance(0.4) { super::vector::IDENTITY } else { super::solids::any_turn(dice) };
        let center = match blocks.len() {
            0 => [0.0; 3],
            count => {
                // Inside of an earlier block, or at its edge.
                let host = &blocks[dice.below(count)];
                let reach = host.reach();
                std::array::from_fn(|k| host.center[k] + dice.between(-0.9, 0.9) * reach[k])
            }
        };
        let cut = index > 0 && dice.chance(cuts);
        blocks.push(Block { center, half, local_from_world, kind: dice.below(3), cut });
    }
    let (mut low, mut high) = ([f32::MAX; 3], [f32::MIN; 3]);
    for block in blocks.iter().filter(|block| !block.cut) {
        let reach = block.reach();
        for k in 0..3 {
            low[k] = low[k].min(block.center[k] - reach[k]);
            high[k] = high[k].max(block.center[k] + reach[k]);
        }
    }
    let radius = 0.5 * (0..3).map(|k| (high[k] - low[k]).powi(2)).sum::<f32>().sqrt();
    let scale = 0.5 / radius;
    for block in &mut blocks {
        for k in 0..3 {
            block.center[k] = (block.center[k] - f32::midpoint(low[k], high[k])) * scale;
            block.half[k] *= scale;
        }
    }
    blocks
}

/// Share of each sample's cell that the joined blocks fill, by the distance of its centre.
fn occupancy(blocks: &[Block], size: usize) -> Vec<f32> {
    let cell = 1.0 / size as f32;
    let at = |k: usize| (k as f32 + 0.5) * cell - 0.5;
    let mut field = vec![0.0f32; size * size * size];
    for block in blocks {
        let reach = block.reach();
        let range = |axis: usize| {
            let index = |world: f32| ((world + 0.5) * size as f32).clamp(0.0, size as f32);
            let (low, high) = (block.center[axis] - reach[axis] - cell, block.center[axis] + reach[axis] + cell);
            index(low).floor() as usize..index(high).ceil() as usize
        };
        for z in range(2) {
            for y in range(1) {
                for x in range(0) {
                    let value = &mut field[(z * size + y) * size + x];
                    let share = (0.5 - block.distance([at(x), at(y), at(z)]) / cell).clamp(0.0, 1.0);
                    *value = if block.cut { value.min(1.0 - share) } else { value.max(share) };
                }
            }
        }
    }
    field
}

/// Gaussian blur with a kernel cut at `radius` and normalised over what lies inside of the grid, one axis after another.
fn blur(field: &mut [f32], size: usize, radius: usize, sigma: f32) {
    let weights: Vec<f32> = (0..=radius).map(|k| (-0.5 * (k as f32 / sigma).powi(2)).exp()).collect();
    let mut line = vec![0.0; size];
    for axis in 0..3 {
        let stride = [1, size, size * size][axis];
        let (first, second) = ([size, 1, 1][axis], [size * size, size * size, size][axis]);
        for a in 0..size {
            for b in 0..size {
                let start = a * first + b * second;
                for (k, value) in line.iter_mut().enumerate() {
                    *value = field[start + k * stride];
                }
                for k in 0..size {
                    let (mut sum, mut total) = (0.0, 0.0);
                    for other in k.saturating_sub(radius)..(k + radius + 1).min(size) {
                        let weight = weights[k.abs_diff(other)];
                        sum += weight * line[other];
                        total += weight;
                    }
                    field[start + k * stride] = sum / total;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_solid_bounded_and_functions_of_their_seed() {
        for seed in 0..6 {
            let cube = random_geometry(seed, 32);
            assert_eq!(cube, random_geometry(seed, 32));
            assert_ne!(cube, random_geometry(seed + 100, 32));
            assert!(cube.values.iter().all(|value| value.abs() <= SdfCube::REACH));
            let inside = cube.values.iter().filter(|value| **value < 0.0).count();
            let far = cube.values.iter().enumerate().filter(|(_, value)| **value < 0.0).map(|(index, _)| {
                let p = [index % 32, index / 32 % 32, index / 1024].map(|k| (k as f32 + 0.5) / 32.0 - 0.5);
                super::super::vector::length(p)
            });
            let far = far.fold(0.0, f32::max);
            assert!((0.42..0.52).contains(&far), "{far}");
            assert!(inside > 100 && inside < 32 * 32 * 32 / 2, "{inside}");
            // Neighbours differ by no more than their distance.
            for pair in cube.values.windows(2).enumerate().filter(|(index, _)| index % 32 != 31).map(|(_, pair)| pair) {
                assert!((pair[0] - pair[1]).abs() < 1.6 / 32.0);
            }
        }
    }

    #[test]
    fn sampling_finer_keeps_the_shape() {
        for seed in 0..4 {
            let (coarse, fine) = (random_geometry(seed, 32), random_geometry(seed, 64));
            let share = |cube: &SdfCube| {
                cube.values.iter().filter(|value| **value < 0.0).count() as f32 / cube.values.len() as f32
            };
            let (a, b) = (share(&coarse), share(&fine));
            assert!((a - b).abs() < 0.15 * a.max(b) + 0.003, "{a} {b}");
        }
    }
}
