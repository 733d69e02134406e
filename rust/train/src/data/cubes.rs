//! Samples of the shape autoencoder: random shapes as signed distances.

use maquette_prior::shapes::{Dice, SdfCube, random_geometry, surface_points};

use super::framing::{canonical, pose};
use super::{SURFACE_LEVELS, shape};

/// Share of random geometry, which means nothing; the others are of the procedural families.
const RANDOM_SHARE: f32 = 0.5;

/// What random shapes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// LatentDreamer's random geometry.
    Random,
    /// The procedural families.
    Family,
}

impl Kind {
    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Family => "families",
        }
    }
}

/// Shape `index` of the stream of `seed`: signed distances on `size` cubed samples, in the canonical frame.
pub fn shape_sample(seed: u64, index: u64, size: usize) -> SdfCube {
    let random = Dice::new(seed, &format!("kind of shape {index}")).chance(RANDOM_SHARE);
    shape_of_kind(seed, index, size, if random { Kind::Random } else { Kind::Family })
}

/// Shape `index` of one kind in the stream of `seed`.
pub fn shape_of_kind(seed: u64, index: u64, size: usize, kind: Kind) -> SdfCube {
    let mut dice = Dice::new(seed, &format!("shape sample {index}"));
    if kind == Kind::Random {
        return random_geometry(dice.seed(), size);
    }
    loop {
        let (_, solid) = shape(&mut dice, None);
        let placement = canonical(&surface_points(&solid, SURFACE_LEVELS), &pose(&mut dice), 1.0);
        let lengths = placement.shape_from_world.map(|row| row.iter().map(|x| x * x).sum::<f32>());
        let stretch = lengths.iter().sum::<f32>().sqrt();
        let cube = SdfCube::of_solid(&solid, |p| placement.to_shape(p), stretch, size);
        // Plates and wires between the samples may leave next to nothing.
        if cube.values.iter().filter(|value| **value < 0.0).count() * LEAST_SHARE > cube.values.len() {
            return cube;
        }
    }
}

/// One over the least share of the cube that a shape fills.
const LEAST_SHARE: usize = 2_000;

/// The ways to turn a cube about +Y by right angles, and to mirror it.
pub const WAYS: usize = 8;

/// The samples of a cube, turned and mirrored in one of [`WAYS`].
pub fn turned(values: &[f32], size: usize, way: usize) -> Vec<f32> {
    let [mirror_x, mirror_z, exchange] = [way & 1 == 1, way >> 1 & 1 == 1, way >> 2 & 1 == 1];
    let mut out = Vec::with_capacity(values.len());
    for z in 0..size {
        for y in 0..size {
            out.extend((0..size).map(|x| {
                let (x, z) = if exchange { (z, x) } else { (x, z) };
                let x = if mirror_x { size - 1 - x } else { x };
                let z = if mirror_z { size - 1 - z } else { z };
                values[(z * size + y) * size + x]
            }));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_functions_of_seed_and_index_and_fill_the_frame() {
        for index in 0..8 {
            let cube = shape_sample(3, index, 32);
            assert_eq!(cube, shape_sample(3, index, 32));
            let far = cube.values.iter().enumerate().filter(|(_, value)| **value < 0.0).map(|(index, _)| {
                let p = [index % 32, index / 32 % 32, index / 1024].map(|k| (k as f32 + 0.5) / 32.0 - 0.5);
                p.iter().map(|x| x * x).sum::<f32>().sqrt()
            });
            let far = far.fold(0.0, f32::max);
            assert!((0.38..0.52).contains(&far), "{index}: {far}");
        }
        assert_ne!(shape_sample(3, 0, 32), shape_sample(4, 0, 32));
    }

    #[test]
    fn all_ways_differ_and_keep_what_is_up() {
        let cube: Vec<f32> = (0..27).map(|k| k as f32).collect();
        let mut all: Vec<Vec<u32>> =
            (0..WAYS).map(|way| turned(&cube, 3, way).iter().map(|x| *x as u32).collect()).collect();
        assert_eq!(turned(&cube, 3, 0), cube);
        for turned in &all {
            assert!(turned.iter().enumerate().all(|(index, value)| index as u32 / 3 % 3 == value / 3 % 3));
            assert_eq!(turned.iter().sum::<u32>(), 27 * 13);
        }
        all.sort();
        all.dedup();
        assert_eq!(all.len(), WAYS);
    }
}
