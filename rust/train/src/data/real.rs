//! Samples of real meshes: the mesh itself is seen, its voxels fill the frustum.

use maquette_prior::frustum::{DEPTH_BINS, Frustum, PICTURE_PX};
use maquette_prior::shapes::{Content, Dice, FAMILIES, Material, SLOTS, Solid, Vec3, times, turn};

use super::fill::{Blocks, Rays};
use super::framing::{self, Placement};
use super::light::Lights;
use super::look::{Hit, Picture};
use super::proportions::Proportions;
use super::{DraftSample, finish};
use crate::meshes::{MeshBank, Part, RealMesh, Voxels, face_normal};

/// One mesh of a scene: `mesh = proportions((scene - offset) / scale)`.
struct Piece<'a> {
    mesh: &'a RealMesh,
    voxels: &'a Voxels,
    proportions: Proportions,
    scale: f32,
    offset: Vec3,
}

/// One mesh, or two that stand together.
struct Scene<'a>(Vec<Piece<'a>>);

impl Piece<'_> {
    fn to_mesh(&self, p: Vec3) -> Vec3 {
        self.proportions.to_mesh(self.unplaced(p))
    }

    /// Before it was scaled and moved into the scene.
    fn unplaced(&self, p: Vec3) -> Vec3 {
        std::array::from_fn(|k| (p[k] - self.offset[k]) / self.scale)
    }

    fn to_scene(&self, p: Vec3) -> Vec3 {
        let own = self.proportions.of_mesh(p);
        std::array::from_fn(|k| own[k] * self.scale + self.offset[k])
    }

    /// Normal in the scene, not of unit length, of a place whose normal in the mesh is `normal`.
    fn normal(&self, place_in_scene: Vec3, normal: Vec3) -> Vec3 {
        self.proportions.normal(self.unplaced(place_in_scene), normal)
    }

    /// Its vertices in the scene.
    fn points(&self) -> Vec<Vec3> {
        self.mesh.positions.iter().map(|p| self.to_scene(*p)).collect()
    }

    /// Corners of the box around it in the scene.
    fn bounds(&self) -> (Vec3, Vec3) {
        framing::bounds(self.points().into_iter())
    }
}

impl Solid for Scene<'_> {
    fn all_parts(&self) -> Vec<u16> {
        (0..self.0.len() as u16).collect()
    }

    fn prune(&self, center: Vec3, radius: f32, among: &[u16], active: &mut Vec<u16>) -> Content {
        active.clear();
        let mut unused = Vec::new();
        let mut full = false;
        for &index in among {
            let piece = &self.0[index as usize];
            let radius = radius / piece.scale * Proportions::MOST_APART;
            match piece.voxels.prune(piece.to_mesh(center), radius, &[], &mut unused) {
                Content::Empty => {}
                Content::Full => {
                    full = true;
                    active.push(index);
                }
                Content::Mixed => active.push(index),
            }
        }
        match (full, active.is_empty()) {
            (true, _) => Content::Full,
            (false, true) => Content::Empty,
            (false, false) => Content::Mixed,
        }
    }

    fn distance(&self, p: Vec3, active: &[u16]) -> f32 {
        active
            .iter()
            .map(|&index| {
                let piece = &self.0[index as usize];
                piece.voxels.sample(piece.to_mesh(p)) * piece.scale
            })
            .fold(Voxels::REACH, f32::min)
    }

    fn half_extent(&self) -> f32 {
        let sides = self.0.iter().map(Piece::bounds).flat_map(|(low, high)| low.into_iter().chain(high));
        sides.map(f32::abs).fold(0.0, f32::max)
    }
}

/// Draws a mesh (to train on, sometimes two) and looks at it.
pub(super) fn draft_sample(bank: &MeshBank, dice: &mut Dice, elevation_degrees: f32, tight: bool) -> DraftSample {
    let index = bank.draw(dice);
    let mut scene = Scene(vec![piece(bank, index, dice)]);
    if bank.part == Part::Training && dice.chance(0.1) {
        let other = bank.draw(dice);
        let other = piece(bank, other, dice);
        let added = beside(&scene.0[0], other, dice);
        scene.0.push(added);
    }
    let points: Vec<Vec<Vec3>> = scene.0.iter().map(Piece::points).collect();
    let (placement, frustum) = framing::place(&points.concat(), &pose(dice), elevation_degrees, tight, dice);
    let rays = Rays::new(&frustum, &placement);
    let mut occupancy = Blocks::of(&scene, &rays).occupancy(&scene, &rays);
    let paint = Paint::random(dice);
    let lights = Lights::random(dice);
    let (picture, depth) = rasterize(&scene, &points, &paint, &placement, &frustum);
    fill_what_is_seen(&mut occupancy, &depth);
    let shine = [paint.material.gloss, paint.material.shininess];
    finish(picture, occupancy, &lights, &frustum, shine, dice, tight, FAMILIES.len())
}

/// A mesh as it is, or to train on mostly with other proportions.
fn piece<'a>(bank: &'a MeshBank, index: usize, dice: &mut Dice) -> Piece<'a> {
    let other = bank.part == Part::Training && dice.chance(0.75);
    let proportions = if other { Proportions::random(dice) } else { Proportions::OWN };
    Piece { mesh: &bank.meshes[index], voxels: &bank.voxels[index], proportions, scale: 1.0, offset: [0.0; 3] }
}

/// A smaller thing on top of the first or at its side.
fn beside<'a>(first: &Piece, mut other: Piece<'a>, dice: &mut Dice) -> Piece<'a> {
    let (low, high) = first.bounds();
    let (other_low, other_high) = other.bounds();
    other.scale = dice.between(0.3, 0.75);
    if dice.chance(0.5) {
        other.offset = [
            dice.between(low[0], high[0]) * 0.5,
            high[1] - other_low[1] * other.scale - 0.02,
            dice.between(low[2], high[2]) * 0.5,
        ];
    } else {
        let side = dice.sign();
        let edge = if side > 0.0 { high[0] - other_low[0] * other.scale } else { low[0] - other_high[0] * other.scale };
        other.offset = [edge - side * 0.03, low[1] - other_low[1] * other.scale, dice.between(low[2], high[2]) * 0.5];
    }
    other
}

/// Stretch, mirror, yaw, a little pitch and roll. The sources mostly face +Z, and so do things in most pictures.
fn pose(dice: &mut Dice) -> [maquette_prior::shapes::Mat3; 2] {
    let stretch: Vec3 = std::array::from_fn(|_| (0.12 * dice.normal()).exp());
    let mirror = dice.sign();
    let lean = |dice: &mut Dice| dice.between(-5.0, 5.0).to_radians();
    let (pitch, roll) = if dice.chance(0.5) { (lean(dice), lean(dice)) } else { (0.0, 0.0) };
    let rotation = times(&turn(1, framing::yaw(dice)), &times(&turn(0, pitch), &turn(2, roll)));
    framing::linear(&rotation, [mirror * stretch[0], stretch[1], stretch[2]])
}

/// How a real mesh is painted.
struct Paint {
    material: Material,
    /// Use the mesh's own colours where it has some.
    own: bool,
    /// Order of the colour channels, and gain of each.
    channels: [usize; 3],
    gain: Vec3,
    smooth: bool,
}

impl Paint {
    fn random(dice: &mut Dice) -> Self {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        Self {
            material: Material::random(dice),
            own: dice.chance(0.85),
            channels: if dice.chance(0.3) { orders[dice.below(6)] } else { orders[0] },
            gain: std::array::from_fn(|_| dice.between(0.8, 1.2)),
            smooth: dice.chance(0.4),
        }
    }

    fn albedo(&self, mesh: &RealMesh, triangle: usize, weights: Vec3, p: Vec3) -> Vec3 {
        match mesh.corner_colors.get(triangle).filter(|_| self.own) {
            Some(corners) => {
                let mixed: Vec3 = std::array::from_fn(|k| (0..3).map(|c| weights[c] * corners[c][k]).sum());
                let own = std::array::from_fn(|k| (mixed[self.channels[k]] * self.gain[k]).min(1.0));
                self.material.over(own, p)
            }
            None => self.material.albedo((mesh.component[triangle] as usize % SLOTS) as u8, p),
        }
    }
}

/// Sub-pixels on a side.
const FINE: usize = 4;
/// Sub-pixels of each pixel that are lit.
const LIT: [[usize; 2]; 2] = [[1, 1], [3, 2]];

/// Z-buffer over sub-pixels of the pieces with these vertices in the scene; also the layer of the nearest surface at each
/// pixel's centre, NaN where there is none.
fn rasterize(
    scene: &Scene,
    points: &[Vec<Vec3>],
    paint: &Paint,
    placement: &Placement,
    frustum: &Frustum,
) -> (Picture, Vec<f32>) {
    const SIDE: usize = PICTURE_PX * FINE;
    // Nearest surface: (1 / spread, piece, triangle); spread is the relative distance from the camera.
    let mut nearest = vec![(0.0f32, u32::MAX, u32::MAX); SIDE * SIDE];
    let mut screens: Vec<Vec<Vec3>> = Vec::new();
    for (number, (piece, points)) in scene.0.iter().zip(points).enumerate() {
        let screen: Vec<Vec3> = points
            .iter()
            .map(|p| {
                let [column, row, layer] = frustum.from_world(placement.to_world(*p));
                let behind = (layer / DEPTH_BINS as f32 - 0.5) * frustum.depth;
                [column * FINE as f32, row * FINE as f32, 1.0 / (1.0 + behind / frustum.distance).max(0.05)]
            })
            .collect();
        for (index, triangle) in piece.mesh.triangles.iter().enumerate() {
            let corners = triangle.map(|vertex| screen[vertex as usize]);
            let (low, high) = framing::bounds(corners.into_iter());
            let range = |k: usize| {
                (low[k] - 0.5).ceil().max(0.0) as usize
                    ..((high[k] - 0.5).floor() + 1.0).clamp(0.0, SIDE as f32) as usize
            };
            for y in range(1) {
                for x in range(0) {
                    let Some(weights) = weights(&corners, x as f32 + 0.5, y as f32 + 0.5) else { continue };
                    let inverse = (0..3).map(|c| weights[c] * corners[c][2]).sum::<f32>();
                    let slot = &mut nearest[y * SIDE + x];
                    if inverse > slot.0 {
                        *slot = (inverse, number as u32, index as u32);
                    }
                }
            }
        }
        screens.push(screen);
    }
    let area = PICTURE_PX * PICTURE_PX;
    let mut picture = Picture { coverage: vec![0.0; area], hits: Vec::new() };
    let mut depth = vec![f32::NAN; area];
    for pixel in 0..area {
        let (row, column) = (pixel / PICTURE_PX, pixel % PICTURE_PX);
        let sub = |x: usize, y: usize| (row * FINE + y) * SIDE + column * FINE + x;
        let covered: Vec<[usize; 2]> = (0..FINE * FINE)
            .map(|k| [k % FINE, k / FINE])
            .filter(|[x, y]| nearest[sub(*x, *y)].1 != u32::MAX)
            .collect();
        picture.coverage[pixel] = covered.len() as f32 / (FINE * FINE) as f32;
        let lit: Vec<[usize; 2]> = LIT.into_iter().filter(|place| covered.contains(place)).collect();
        let lit = if lit.is_empty() { covered.first().copied().into_iter().collect() } else { lit };
        for [x, y] in lit {
            let (_, number, index) = nearest[sub(x, y)];
            let piece = &scene.0[number as usize];
            let triangle = piece.mesh.triangles[index as usize];
            let corners = triangle.map(|vertex| screens[number as usize][vertex as usize]);
            let (u, v) = ((column * FINE + x) as f32 + 0.5, (row * FINE + y) as f32 + 0.5);
            let Some(flat) = weights(&corners, u, v) else { continue };
            // In space the weights are those on the screen times nearness.
            let sum: f32 = (0..3).map(|c| flat[c] * corners[c][2]).sum();
            let weights: Vec3 = std::array::from_fn(|c| flat[c] * corners[c][2] / sum);
            let places = triangle.map(|vertex| piece.mesh.positions[vertex as usize]);
            let mix = |values: [Vec3; 3]| -> Vec3 {
                std::array::from_fn(|k| (0..3).map(|c| weights[c] * values[c][k]).sum())
            };
            let point = mix(places);
            let normal = if paint.smooth {
                mix(triangle.map(|vertex| piece.mesh.normals[vertex as usize]))
            } else {
                face_normal(places)
            };
            let point_in_scene = piece.to_scene(point);
            picture.hits.push(Hit {
                pixel: pixel as u32,
                point: placement.to_world(point_in_scene),
                normal: placement.normal(piece.normal(point_in_scene, normal)),
                albedo: paint.albedo(piece.mesh, index as usize, weights, point),
            });
        }
        // The sub-pixel beside the centre stands for it.
        let (inverse, number, _) = nearest[sub(FINE / 2, FINE / 2)];
        if number != u32::MAX {
            let behind = (1.0 / inverse - 1.0) * frustum.distance;
            depth[pixel] = (behind / frustum.depth + 0.5) * DEPTH_BINS as f32;
        }
    }
    (picture, depth)
}

/// Weights of the corners at a place on the screen, where it lies in the triangle.
fn weights(corners: &[Vec3; 3], x: f32, y: f32) -> Option<Vec3> {
    let edge = |a: Vec3, b: Vec3| (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]);
    let w = [edge(corners[1], corners[2]), edge(corners[2], corners[0]), edge(corners[0], corners[1])];
    let inside = w.iter().all(|x| *x >= 0.0) || w.iter().all(|x| *x <= 0.0);
    let sum = w[0] + w[1] + w[2];
    (inside && sum.abs() > 1e-12).then(|| w.map(|x| x / sum))
}

/// Panels thinner than a voxel are missing from the voxels: what is seen there is filled, one layer thick.
fn fill_what_is_seen(occupancy: &mut [u8], depth: &[f32]) {
    let area = PICTURE_PX * PICTURE_PX;
    for (pixel, layer) in depth.iter().enumerate() {
        if !(0.0..DEPTH_BINS as f32).contains(layer) {
            continue;
        }
        let layer = *layer as usize;
        let around = layer.saturating_sub(1)..(layer + 3).min(DEPTH_BINS);
        if around.clone().all(|l| occupancy[l * area + pixel] == 0) {
            occupancy[layer * area + pixel] = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::data::{DataSettings, draft_sample};
    use crate::meshes::HELD_OUT_PACKS;

    #[test]
    fn held_out_meshes_fill_what_their_masks_cover() {
        let shared = std::env::var_os("MAQUETTE_SHARED")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
        let folder = shared.join("train");
        if !folder.join("meshes.jsonl").exists() {
            println!("skipped: needs ../shared");
            return;
        }
        let cache = tempfile::tempdir().unwrap();
        let cache = cache.path().join("voxels");
        let bank = MeshBank::open(&folder, Part::HeldOut, Some(&cache)).unwrap();
        assert_eq!(bank.meshes.len(), 40);
        assert!(bank.meshes.iter().all(|mesh| HELD_OUT_PACKS.contains(&mesh.pack.as_str())));
        let again = MeshBank::open(&folder, Part::HeldOut, Some(&cache)).unwrap();
        let settings = DataSettings { real_share: 1.0, ..DataSettings::default() };
        let area = PICTURE_PX * PICTURE_PX;
        let (mut covered, mut hollow, mut outside) = (0, 0, 0);
        for index in 0..60 {
            let sample = draft_sample(2, index, &settings, Some(&bank));
            assert_eq!(sample, draft_sample(2, index, &settings, Some(&again)));
            assert_eq!(sample.family as usize, FAMILIES.len());
            assert!(sample.mask.iter().chain(&sample.rgb).all(|x| (0.0..=1.0).contains(x)));
            for pixel in 0..area {
                let filled = (0..DEPTH_BINS).any(|layer| sample.occupancy[layer * area + pixel] == 1);
                covered += usize::from(sample.mask[pixel] > 0.95);
                hollow += usize::from(!filled && sample.mask[pixel] > 0.95);
                outside += usize::from(filled && sample.mask[pixel] < 0.05);
            }
        }
        assert!(
            hollow * 50 < covered && outside * 100 < covered,
            "{covered} covered, {hollow} empty, {outside} outside"
        );
    }
}
