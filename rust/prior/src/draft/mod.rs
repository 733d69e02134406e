//! One picture's silhouette to a whole shape, by a network that has seen many.

pub mod network;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use maquette_core::Progress;

use self::network::{DraftNet, ELEVATION_UNIT, PATCH, Planes, SIDE, patch_order, picture_input};
use crate::Result;
use crate::embedded::{Embedded, tensors_of};
use crate::frustum::{DEPTH_BINS, Frustum, PICTURE_PX};
use crate::nn::Weights;

/// Pixels of the network's picture.
const AREA: usize = PICTURE_PX * PICTURE_PX;
/// Numbers of its three planes of colour.
const COLORS: usize = 3 * AREA;
/// Coverage from which a pixel belongs to the silhouette, as in training.
const LEAST_COVERAGE: f32 = 0.05;
/// The network inside the library.
static EMBEDDED: Embedded<Draft> = Embedded::new(include_bytes!("../../weights/draft.safetensors"));

/// The draft network, ready to be asked.
#[derive(Clone, Debug)]
pub struct Draft {
    net: DraftNet,
    planes: Planes,
}

/// What fills the frustum of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct DraftShape {
    /// Logits of being inside, nearest layer first, rows and columns of the picture in each; what was outside of the
    /// silhouette continues what is nearest in it.
    logits: Vec<f32>,
    /// Where they lie in the world.
    pub frustum: Frustum,
}

impl Draft {
    /// The network with the weights that are built into the library; they are read once.
    ///
    /// # Errors
    /// When this build's weights do not fit its network.
    pub fn embedded() -> Result<&'static Self> {
        EMBEDDED.get(Self::from_tensors)
    }

    /// The network with the weights of a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be read or does not fit the network.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        Self::from_tensors(tensors_of(bytes)?)
    }

    /// The network with given parameters; what it sees follows from the shape of its first layer.
    ///
    /// # Errors
    /// When one is missing or has another shape.
    pub fn from_tensors(tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        let channels = tensors.get("stem.kernel").map(Tensor::dims);
        let color = channels.is_some_and(|dims| dims.get(2) == Some(&(PATCH * PATCH * Planes::Color.count())));
        let planes = if color { Planes::Color } else { Planes::Mask };
        Ok(Self { net: DraftNet::new(&mut Weights::given(tensors, &Device::Cpu), planes)?, planes })
    }

    /// What the silhouette is most likely to be of.
    ///
    /// `mask` is coverage 0..=1 and `rgb` three sRGB planes, both `PICTURE_PX` squared, row 0 on top; `rgb` may be empty
    /// where colours are not known. With `tight` the object's box is centred and its longer side fills
    /// [`crate::frustum::TIGHT_SHARE`] of the picture, else the picture is the whole frame of the six-view rig. Without
    /// `elevation_degrees` the camera's elevation is estimated.
    ///
    /// # Errors
    /// When a plane has another size, or the job was cancelled.
    pub fn predict(
        &self,
        mask: &[f32],
        rgb: &[f32],
        tight: bool,
        elevation_degrees: Option<f32>,
        progress: &Progress,
    ) -> Result<DraftShape> {
        if mask.len() != AREA || !matches!(rgb.len(), 0 | COLORS) || mask.iter().chain(rgb).any(|x| !x.is_finite()) {
            return Err(maquette_core::Error::invalid(format!(
                "the draft network takes a mask of {AREA} and colours of {COLORS} (or no) finite numbers, got {} and {}",
                mask.len(),
                rgb.len()
            ))
            .into());
        }
        let mut logits = vec![0.0f32; AREA * DEPTH_BINS];
        let mut elevation = 0.0;
        // Colours tell some things better and mislead about others, so the picture is also looked at without them.
        let mut looks = vec![rgb];
        if self.planes == Planes::Color && !rgb.is_empty() {
            looks.push(&[]);
        }
        let share = 0.5 / looks.len() as f32;
        for (rgb, flipped) in looks.into_iter().flat_map(|rgb| [(rgb, false), (rgb, true)]) {
            progress.check()?;
            let mirror = |plane: &[f32]| if flipped { mirrored(plane) } else { plane.to_vec() };
            let input = picture_input(&mirror(mask), &mirror(rgb), tight, self.planes);
            let channels = PATCH * PATCH * self.planes.count();
            let out = self.net.forward(&Tensor::from_vec(input, (1, SIDE, SIDE, channels), &Device::Cpu)?)?;
            elevation += share * ELEVATION_UNIT * out.elevation.to_vec1::<f32>()?[0];
            let values = out.logits.flatten_all()?.to_vec1::<f32>()?;
            for (pixel, column) in patch_order().zip(values.chunks_exact(DEPTH_BINS)) {
                let (row, x) = (pixel / PICTURE_PX, pixel % PICTURE_PX);
                let x = if flipped { PICTURE_PX - 1 - x } else { x };
                for (layer, value) in column.iter().enumerate() {
                    logits[layer * AREA + row * PICTURE_PX + x] += share * value;
                }
            }
        }
        let seen: Vec<bool> = mask.iter().map(|&coverage| coverage > LEAST_COVERAGE).collect();
        let level = best_level(&logits, &seen);
        for logit in &mut logits {
            *logit -= level;
        }
        fill_columns(&mut logits, &seen);
        round_rims(&mut logits, &seen);
        continue_outwards(&mut logits, seen);
        smooth(&mut logits);
        let elevation = elevation_degrees.unwrap_or(elevation.clamp(-10.0, 45.0));
        let frustum = if tight { Frustum::tight(elevation) } else { Frustum::canonical(elevation) };
        Ok(DraftShape { logits, frustum })
    }
}

/// The logit above which cells are to be called inside, so that their overlap with the truth is expected to be greatest.
///
/// Where much is uncertain that is below 0: what is inside in a third of all shapes that the picture may show then
/// belongs to the best guess at all of them. Overlap is the expected intersection over the expected union.
fn best_level(logits: &[f32], seen: &[bool]) -> f32 {
    let cells = logits.iter().enumerate().filter(|(index, _)| seen[index % AREA]);
    let mut likeliest: Vec<f32> = cells.map(|(_, logit)| *logit).collect();
    likeliest.sort_by(|a, b| b.total_cmp(a));
    let probability = |logit: f32| 1.0 / (1.0 + f64::from(-logit).exp());
    let total: f64 = likeliest.iter().map(|logit| probability(*logit)).sum();
    let (mut inside, mut greatest, mut level) = (0.0, 0.0, 0.0);
    for (count, logit) in likeliest.iter().enumerate() {
        inside += probability(*logit);
        let overlap = inside / ((count + 1) as f64 + total - inside);
        if overlap > greatest {
            greatest = overlap;
            level = f32::midpoint(*logit, *likeliest.get(count + 1).unwrap_or(logit));
        }
    }
    level
}

/// Least logit of the likeliest layer of a pixel of the silhouette: what covers the pixel has to be somewhere.
const LEAST_PEAK: f32 = 0.5;

/// Lifts columns of the silhouette in which nothing is inside.
fn fill_columns(logits: &mut [f32], seen: &[bool]) {
    for (pixel, _) in seen.iter().enumerate().filter(|(_, seen)| **seen) {
        let column = || (pixel..AREA * DEPTH_BINS).step_by(AREA);
        let peak = column().map(|index| logits[index]).fold(f32::MIN, f32::max);
        if peak < LEAST_PEAK {
            column().for_each(|index| logits[index] += LEAST_PEAK - peak);
        }
    }
}

/// Distance from the outline within which depths taper off, in pixels.
const RIM_PX: f32 = 5.0;
/// Half of what stays of a depth at the outline, in layers.
const LEAST_HALF: f32 = 0.6;

/// Rounds what is inside towards the outline, as an ellipse ends. The network does not know how far a column at the outline
/// reaches, and what is likely for each of its layers makes a wall.
fn round_rims(logits: &mut [f32], seen: &[bool]) {
    for pixel in (0..AREA).filter(|&pixel| seen[pixel]) {
        let distance = px_to_outline(seen, pixel);
        if distance >= RIM_PX {
            continue;
        }
        let share = (1.0 - (1.0 - distance / RIM_PX).powi(2)).sqrt();
        let mut layer = 0;
        while layer < DEPTH_BINS {
            let start = layer;
            while layer < DEPTH_BINS && logits[layer * AREA + pixel] > 0.0 {
                layer += 1;
            }
            let (half, middle) = (0.5 * (layer - start) as f32, 0.5 * (layer + start) as f32);
            let left = (half * share).max(LEAST_HALF);
            for inside in start..layer {
                let value = &mut logits[inside * AREA + pixel];
                *value = value.min(left - (inside as f32 + 0.5 - middle).abs());
            }
            layer = layer.max(start + 1);
        }
    }
}

/// Distance of a pixel of the silhouette from its outline where that is within [`RIM_PX`], else more. The frame is no outline:
/// beyond it the object may go on.
fn px_to_outline(seen: &[bool], pixel: usize) -> f32 {
    let (reach, side) = (RIM_PX.ceil() as isize, PICTURE_PX as isize);
    let (row, column) = ((pixel / PICTURE_PX) as isize, (pixel % PICTURE_PX) as isize);
    let rows = (row - reach).max(0)..(row + reach + 1).min(side);
    rows.flat_map(|r| ((column - reach).max(0)..(column + reach + 1).min(side)).map(move |c| (r, c)))
        .filter(|(r, c)| !seen[(r * side + c) as usize])
        .map(|(r, c)| ((r - row) as f32).hypot((c - column) as f32) - 0.5)
        .fold(f32::MAX, f32::min)
}

/// Pixels outside of the silhouette, of which the network has learnt nothing, take the mean of their known neighbours,
/// ring by ring.
fn continue_outwards(logits: &mut [f32], mut seen: Vec<bool>) {
    const RINGS: usize = 4;
    for _ in 0..RINGS {
        let before = seen.clone();
        for pixel in (0..AREA).filter(|&pixel| !before[pixel]) {
            let (row, column) = (pixel / PICTURE_PX, pixel % PICTURE_PX);
            let rows = row.saturating_sub(1)..(row + 2).min(PICTURE_PX);
            let near: Vec<usize> = rows
                .flat_map(|r| (column.saturating_sub(1)..(column + 2).min(PICTURE_PX)).map(move |c| r * PICTURE_PX + c))
                .filter(|&near| before[near])
                .collect();
            if near.is_empty() {
                continue;
            }
            for layer in 0..DEPTH_BINS {
                let sum: f32 = near.iter().map(|near| logits[layer * AREA + near]).sum();
                logits[layer * AREA + pixel] = sum / near.len() as f32;
            }
            seen[pixel] = true;
        }
    }
    for (pixel, _) in seen.iter().enumerate().filter(|(_, seen)| !**seen) {
        for layer in 0..DEPTH_BINS {
            logits[layer * AREA + pixel] = OUTSIDE;
        }
    }
}

/// Blurs along all three axes by 1, 2, 1: neighbouring columns are guessed apart, and their ends make steps.
fn smooth(logits: &mut [f32]) {
    let mut line = Vec::new();
    for (stride, count) in [(1, PICTURE_PX), (PICTURE_PX, PICTURE_PX), (AREA, DEPTH_BINS)] {
        for start in (0..logits.len()).filter(|index| index / stride % count == 0) {
            line.clear();
            line.extend((0..count).map(|k| logits[start + k * stride]));
            for k in 0..count {
                let (before, after) = (line[k.saturating_sub(1)], line[(k + 1).min(count - 1)]);
                logits[start + k * stride] = 0.25 * before + 0.5 * line[k] + 0.25 * after;
            }
        }
    }
}

/// Logit of what is surely outside.
const OUTSIDE: f32 = -8.0;

/// Square planes flipped left to right.
fn mirrored(planes: &[f32]) -> Vec<f32> {
    planes.chunks_exact(PICTURE_PX).flat_map(|row| row.iter().rev().copied()).collect()
}

impl DraftShape {
    /// Logit of being inside at a world position, trilinear; above 0 is inside.
    pub fn logit(&self, point_in_world: [f32; 3]) -> f32 {
        let at = self.frustum.from_world(point_in_world);
        let limits = [PICTURE_PX, PICTURE_PX, DEPTH_BINS];
        if (0..3).any(|k| !(at[k] >= 0.0 && at[k] <= limits[k] as f32)) {
            return OUTSIDE;
        }
        let mut low = [0usize; 3];
        let mut share = [0.0f32; 3];
        for k in 0..3 {
            let centred = (at[k] - 0.5).clamp(0.0, (limits[k] - 1) as f32);
            low[k] = (centred as usize).min(limits[k] - 2);
            share[k] = centred - low[k] as f32;
        }
        let mut sum = 0.0;
        for corner in 0..8 {
            let bit = |k: usize| corner >> k & 1;
            let weight: f32 = (0..3).map(|k| if bit(k) == 1 { share[k] } else { 1.0 - share[k] }).product();
            sum += weight * self.logits[(low[2] + bit(2)) * AREA + (low[1] + bit(1)) * PICTURE_PX + low[0] + bit(0)];
        }
        sum
    }

    /// World positions of all cells that are inside, by their centres.
    pub fn inside(&self) -> impl Iterator<Item = [f32; 3]> {
        self.logits.iter().enumerate().filter(|(_, logit)| **logit > 0.0).map(|(index, _)| {
            let (layer, row, column) = (index / AREA, index % AREA / PICTURE_PX, index % PICTURE_PX);
            self.frustum.to_world([column, row, layer].map(|x| x as f32 + 0.5))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untrained(planes: Planes) -> Draft {
        let mut weights = Weights::fresh(3, &Device::Cpu);
        Draft { net: DraftNet::new(&mut weights, planes).unwrap(), planes }
    }

    fn disc() -> Vec<f32> {
        let inside = |k: usize| ((k % PICTURE_PX) as f32 - 20.0).hypot((k / PICTURE_PX) as f32 - 31.5) < 15.0;
        (0..AREA).map(|k| f32::from(u8::from(inside(k)))).collect()
    }

    #[test]
    fn silhouette_is_filled_and_nothing_else() {
        let mask = disc();
        let shape = untrained(Planes::Mask).predict(&mask, &[], false, Some(20.0), &Progress::new()).unwrap();
        let mut hit = vec![false; AREA];
        for point in shape.inside() {
            let [column, row, _] = shape.frustum.from_world(point);
            hit[row as usize * PICTURE_PX + column as usize] = true;
            assert!(shape.logit(point) > 0.0);
        }
        for pixel in 0..AREA {
            assert!(hit[pixel] || mask[pixel] == 0.0);
        }
        assert!(shape.logit([3.0, 0.0, 0.0]) < 0.0 && shape.logit([f32::NAN; 3]) < 0.0);
        assert_eq!(shape.frustum.elevation_degrees, 20.0);
    }

    #[test]
    fn the_level_is_the_one_with_the_greatest_expected_overlap() {
        let mut seen = vec![false; AREA];
        seen[..10].fill(true);
        // One layer of the ten columns is surely inside, a second one half as likely as not, or less.
        let with_second = |logit: f32| {
            let mut logits = vec![-12.0; AREA * DEPTH_BINS];
            logits[..AREA].fill(12.0);
            logits[AREA..2 * AREA].fill(logit);
            best_level(&logits, &seen)
        };
        // 1 / (1 + p) without the second layer, (1 + p) / 2 with it: the second is taken from p = 0.42 on.
        let logit = |p: f32| (p / (1.0 - p)).ln();
        assert!((-12.0..logit(0.44)).contains(&with_second(logit(0.44))));
        assert!((logit(0.40)..12.0).contains(&with_second(logit(0.40))));
    }

    #[test]
    fn walls_at_the_outline_are_rounded_and_the_middle_stays() {
        let mask = disc();
        let seen: Vec<bool> = mask.iter().map(|mask| *mask > 0.5).collect();
        // A drum, 20 layers deep.
        let mut logits: Vec<f32> = (0..AREA * DEPTH_BINS)
            .map(|index| if seen[index % AREA] && (10..30).contains(&(index / AREA)) { 3.0 } else { -3.0 })
            .collect();
        round_rims(&mut logits, &seen);
        let depth = |column: usize| {
            (0..DEPTH_BINS).filter(|layer| logits[layer * AREA + 31 * PICTURE_PX + column] > 0.0).count()
        };
        // From the outline at column 5 to the middle at 20.
        let depths: Vec<usize> = (6..=20).map(depth).collect();
        assert!(depths.is_sorted() && depths[0] < 14 && depths[0] > 0, "{depths:?}");
        assert!(depths[6..].iter().all(|depth| *depth == 20), "{depths:?}");
    }

    #[test]
    fn a_mirrored_picture_gives_the_mirrored_shape() {
        let mask = disc();
        let draft = untrained(Planes::Mask);
        let shape = draft.predict(&mask, &[], true, None, &Progress::new()).unwrap();
        let other = draft.predict(&mirrored(&mask), &[], true, None, &Progress::new()).unwrap();
        assert!((shape.frustum.elevation_degrees - other.frustum.elevation_degrees).abs() < 1e-3);
        for point in [[-0.2, 0.1, 0.1], [-0.15, -0.1, 0.3], [-0.3, 0.0, -0.4]] {
            let (a, b) = (shape.logit(point), other.logit([-point[0], point[1], point[2]]));
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let draft = untrained(Planes::Color);
        let black = vec![0.0; 3 * AREA];
        let refused = |mask: &[f32], rgb: &[f32]| draft.predict(mask, rgb, true, None, &Progress::new()).is_err();
        assert!(refused(&disc(), &black[1..]) && refused(&[], &black));
        let mut broken = disc();
        broken[7] = f32::NAN;
        assert!(refused(&broken, &black));
        let progress = Progress::new();
        progress.cancel();
        let stopped = draft.predict(&disc(), &black, true, None, &progress);
        assert!(matches!(stopped, Err(crate::Error::Core(maquette_core::Error::Cancelled))));
        assert!(Draft::from_safetensors(b"nonsense").is_err());
    }
}
