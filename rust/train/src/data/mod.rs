//! Training samples, streamed: each is a pure function of seed and index, so that no two are alike and any can be made
//! again.

pub mod cubes;
mod fill;
mod framing;
mod light;
mod look;
mod proportions;
mod real;
pub mod views;

use maquette_prior::frustum::Frustum;
use maquette_prior::shapes::{Dice, FAMILIES, Material, Shape, Solid, surface_points};

pub use maquette_prior::frustum::{DEPTH_BINS, PICTURE_PX};

use crate::meshes::MeshBank;
use fill::{Blocks, Rays};
use light::Lights;
use look::Picture;

/// One training sample of the draft source: a picture and what fills its frustum.
///
/// Planes are row-major, row 0 on top; layers of `occupancy` follow each other, the nearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct DraftSample {
    /// Coverage 0..=1, `PICTURE_PX` squared; rendered finer and averaged.
    pub mask: Vec<f32>,
    /// sRGB 0..=1 as three planes; 0 outside of the mask.
    pub rgb: Vec<f32>,
    /// 1 inside of the shape, else 0; `DEPTH_BINS` layers.
    pub occupancy: Vec<u8>,
    /// Camera elevation in degrees.
    pub elevation_degrees: f32,
    /// Cropped as the segment stage crops ([`Frustum::tight`]), or the whole frame of the rig ([`Frustum::canonical`]).
    pub tight: bool,
    /// Index into [`family_names`].
    pub family: u16,
}

/// What samples are drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSettings {
    /// Share of samples that are real meshes, where a bank of them is given.
    pub real_share: f32,
    /// Share of samples with tight framing.
    pub tight_share: f32,
    /// Lowest and highest camera elevation in degrees.
    pub elevation_degrees: [f32; 2],
    /// Only this family of procedural shapes, by its name.
    pub family: Option<String>,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self { real_share: 0.5, tight_share: 0.5, elevation_degrees: [-10.0, 45.0], family: None }
    }
}

/// Names of the families that a sample's `family` counts through: the procedural ones, then `real`.
pub fn family_names() -> Vec<&'static str> {
    FAMILIES.iter().map(|family| family.name).chain(["real"]).collect()
}

/// Sample `index` of the stream of `seed`: a pure function of its arguments.
pub fn draft_sample(seed: u64, index: u64, settings: &DataSettings, bank: Option<&MeshBank>) -> DraftSample {
    let mut dice = Dice::new(seed, &format!("draft sample {index}"));
    let elevation_degrees = elevation(&mut dice, settings.elevation_degrees);
    let tight = dice.chance(settings.tight_share);
    let real = dice.chance(settings.real_share);
    if let (true, Some(bank)) = (real, bank.filter(|bank| !bank.meshes.is_empty())) {
        return real::draft_sample(bank, &mut dice, elevation_degrees, tight);
    }
    let (family, shape) = shape(&mut dice, settings.family.as_deref());
    let points = surface_points(&shape, SURFACE_LEVELS);
    let (placement, frustum) = framing::place(&points, &framing::pose(&mut dice), elevation_degrees, tight, &mut dice);
    let material = Material::random(&mut dice);
    let lights = Lights::random(&mut dice);
    let rays = Rays::new(&frustum, &placement);
    let blocks = Blocks::of(&shape, &rays);
    let occupancy = blocks.occupancy(&shape, &rays);
    let picture = Picture::of_shape(&shape, &material, &blocks, &rays, &placement);
    finish(picture, occupancy, &lights, &frustum, material_shine(&material), &mut dice, tight, family)
}

/// Levels of the search for the surface: cells of 1/64 of the cube around the shape.
const SURFACE_LEVELS: usize = 6;

fn material_shine(material: &Material) -> [f32; 2] {
    [material.gloss, material.shininess]
}

/// Lights the picture and puts the sample together.
fn finish(
    picture: Picture,
    occupancy: Vec<u8>,
    lights: &Lights,
    frustum: &Frustum,
    shine: [f32; 2],
    dice: &mut Dice,
    tight: bool,
    family: usize,
) -> DraftSample {
    let rgb = lights.develop(&picture, &occupancy, frustum, shine, dice);
    DraftSample {
        mask: picture.coverage,
        rgb,
        occupancy,
        elevation_degrees: frustum.elevation_degrees,
        tight,
        family: family as u16,
    }
}

/// A shape of a random family, or of the named one, that has a surface.
fn shape(dice: &mut Dice, name: Option<&str>) -> (usize, Shape) {
    let named = name.and_then(|name| FAMILIES.iter().position(|family| family.name == name));
    loop {
        let index = named.unwrap_or_else(|| dice.weighted(FAMILIES.iter().map(|family| family.weight)));
        let shape = (FAMILIES[index].make)(dice);
        // Cuts may leave next to nothing.
        if surface_points(&shape, 4).len() > 40 && shape.half_extent() > 0.05 {
            return (index, shape);
        }
    }
}

/// Most pictures are taken from a little above; some from exactly in front.
fn elevation(dice: &mut Dice, [low, high]: [f32; 2]) -> f32 {
    if dice.chance(0.2) { (dice.normal() * 2.0).clamp(low, high) } else { dice.between(low, high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(family: Option<&str>) -> DataSettings {
        DataSettings { family: family.map(str::to_owned), ..DataSettings::default() }
    }

    #[test]
    fn samples_are_functions_of_seed_and_index() {
        let settings = settings(None);
        let first = draft_sample(7, 3, &settings, None);
        assert_eq!(first, draft_sample(7, 3, &settings, None));
        assert_ne!(first.occupancy, draft_sample(7, 4, &settings, None).occupancy);
        assert_ne!(first.occupancy, draft_sample(8, 3, &settings, None).occupancy);
    }

    #[test]
    fn every_family_fills_what_its_mask_covers() {
        let area = PICTURE_PX * PICTURE_PX;
        for (number, family) in FAMILIES.iter().enumerate() {
            let settings = settings(Some(family.name));
            for index in 0..6 {
                let sample = draft_sample(1, index, &settings, None);
                assert_eq!(sample.family as usize, number);
                assert_eq!((sample.mask.len(), sample.rgb.len()), (area, 3 * area));
                assert!(
                    sample.mask.iter().chain(&sample.rgb).all(|x| (0.0..=1.0).contains(x)),
                    "{} {index}",
                    family.name
                );
                assert!(sample.occupancy.iter().all(|x| *x <= 1));
                assert!((-10.0..=45.0).contains(&sample.elevation_degrees));
                assert!(sample.mask.iter().sum::<f32>() > 20.0, "{} {index} is nearly empty", family.name);
                let (mut outside, mut hollow, mut covered) = (0, 0, 0);
                for pixel in 0..area {
                    let filled = (0..DEPTH_BINS).any(|layer| sample.occupancy[layer * area + pixel] == 1);
                    let mask = sample.mask[pixel];
                    outside += usize::from(filled && mask < 0.05);
                    covered += usize::from(mask > 0.95);
                    hollow += usize::from(!filled && mask > 0.95);
                    let lit = (0..3).any(|k| sample.rgb[k * area + pixel] > 0.0);
                    assert!(!lit || mask > 0.0);
                }
                assert!(outside <= 2, "{} {index}: {outside} filled columns outside of the mask", family.name);
                // Plates thinner than a third of a layer may fall between the samples.
                assert!(hollow * 10 <= covered, "{} {index}: {hollow} of {covered} columns empty", family.name);
            }
        }
    }

    /// Share of the filled voxels in the largest piece of touching ones.
    fn largest_piece(occupancy: &[u8]) -> f32 {
        let side = PICTURE_PX as isize;
        let mut left = occupancy.to_vec();
        let mut largest = 0;
        for start in 0..left.len() {
            let mut open = vec![start];
            let mut size = 0;
            while let Some(at) = open.pop() {
                if std::mem::replace(&mut left[at], 0) == 0 {
                    continue;
                }
                size += 1;
                let at = at as isize;
                let (x, y, z) = (at % side, at / side % side, at / side / side);
                for step in 0..27 {
                    let (x, y, z) = (x + step % 3 - 1, y + step / 3 % 3 - 1, z + step / 9 - 1);
                    if (0..side).contains(&x) && (0..side).contains(&y) && (0..DEPTH_BINS as isize).contains(&z) {
                        open.push(((z * side + y) * side + x) as usize);
                    }
                }
            }
            largest = largest.max(size);
        }
        largest as f32 / occupancy.iter().map(|filled| u32::from(*filled)).sum::<u32>().max(1) as f32
    }

    #[test]
    fn things_hang_together() {
        for family in FAMILIES {
            let settings = settings(Some(family.name));
            let share =
                (0..8).map(|index| largest_piece(&draft_sample(2, index, &settings, None).occupancy)).sum::<f32>();
            assert!(share / 8.0 > 0.7, "{}: {}", family.name, share / 8.0);
        }
    }

    #[test]
    fn tight_frames_are_filled_as_the_segment_stage_fills_them() {
        let settings = DataSettings { tight_share: 1.0, ..settings(None) };
        let mut exact = 0;
        for index in 0..40 {
            let sample = draft_sample(5, index, &settings, None);
            assert!(sample.tight);
            let (mut low, mut high) = ([PICTURE_PX; 2], [0; 2]);
            for (pixel, _) in sample.mask.iter().enumerate().filter(|(_, mask)| **mask >= 0.5) {
                for (k, at) in [pixel % PICTURE_PX, pixel / PICTURE_PX].into_iter().enumerate() {
                    low[k] = low[k].min(at);
                    high[k] = high[k].max(at + 1);
                }
            }
            let longest = (high[0] - low[0]).max(high[1] - low[1]) as f32 / PICTURE_PX as f32;
            assert!((0.78..=1.0).contains(&longest), "{index}: {longest}");
            exact += usize::from((longest - 0.9).abs() < 0.03);
        }
        assert!(exact >= 24, "{exact} of 40");
    }
}
