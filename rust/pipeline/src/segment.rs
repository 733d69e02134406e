//! Cutting the object out of the picture: by its alpha, else by the colour of its border.
//!
//! Border segmentation: a smooth model of the background (a low-order polynomial in CIE Lab) is fitted to the border
//! and grown inwards. A flood from the border then takes what is like the model, or like the model in shadow (darker,
//! of the same chroma), but never crosses an edge; so the inside of a white object on white survives. A narrow band
//! along the object is un-mixed into object colour, background colour and soft alpha.

use std::collections::VecDeque;

use borsh::{BorshDeserialize, BorshSerialize};
use maquette_core::color::{LINEAR_FROM_SRGB8, srgb8_from_linear};
use maquette_core::recipe::{Background, Segment};
use maquette_core::{Error, Image, Plane, Progress, Result};
use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

/// Smallest side of a picture that can be cut out, in pixels.
pub const MIN_SIDE: u32 = 8;

/// How a cut-out was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Method {
    /// From the picture's alpha.
    Alpha,
    /// From the colour of the border.
    Border,
    /// The whole picture was taken as the object.
    Keep,
}

/// A rectangle of pixels: columns `left..right`, rows `top..bottom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Bounds {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// One past the last column.
    pub right: usize,
    /// One past the last row.
    pub bottom: usize,
}

impl Bounds {
    /// Columns.
    pub fn width(&self) -> usize {
        self.right - self.left
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.bottom - self.top
    }
}

/// The object without its background.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct Cutout {
    /// The picture, sRGB, with the object's coverage as straight alpha.
    pub rgba: Image,
    /// How sure the segmentation is, 0..=1; below [`Cutout::UNSURE`] a person should look.
    pub confidence: f32,
    /// How it was made.
    pub method: Method,
    /// Box around the object.
    pub bounds: Bounds,
    /// What to tell the artist, if anything.
    pub warning: Option<String>,
}

impl Cutout {
    /// Confidence below which [`segment`] warns.
    pub const UNSURE: f32 = 0.5;
}

/// Finds the object in `picture`. The result has the picture's size.
///
/// # Errors
/// When the picture is smaller than [`MIN_SIDE`], nothing is left of it, the asked method cannot work, or the job was
/// cancelled.
pub fn segment(picture: &Image, settings: &Segment, progress: &Progress) -> Result<Cutout> {
    let (width, height) = (picture.width(), picture.height());
    if width < MIN_SIDE || height < MIN_SIDE {
        return Err(Error::invalid(format!(
            "picture is {width}x{height} pixels; at least {MIN_SIDE}x{MIN_SIDE} are needed to find an object"
        )));
    }
    let pixels = picture.pixels();
    let transparent = pixels.iter().filter(|pixel| pixel[3] < 128).count() as f64 / pixels.len() as f64;
    if pixels.iter().all(|pixel| pixel[3] < 13) {
        return Err(Error::invalid("picture is fully transparent; give a picture with something in it"));
    }
    match settings.background {
        Background::Keep => keep(picture),
        Background::Alpha if !picture.has_transparency() => Err(Error::invalid(
            "segment.background is alpha, but the picture has no transparent pixel; use auto or border",
        )),
        Background::Alpha => from_alpha(picture),
        Background::Auto if transparent >= USEFUL_ALPHA => from_alpha(picture),
        Background::Auto | Background::Border => from_border(picture, settings.tolerance as f32, progress),
    }
}

/// Share of transparent pixels from which alpha is taken for a cut-out, and not for rounded corners.
const USEFUL_ALPHA: f64 = 0.02;

fn keep(picture: &Image) -> Result<Cutout> {
    let bounds = bounds_of(picture)?;
    Ok(Cutout { rgba: picture.clone(), confidence: 1.0, method: Method::Keep, bounds, warning: None })
}

fn from_alpha(picture: &Image) -> Result<Cutout> {
    let bounds = bounds_of(picture)?;
    Ok(Cutout { rgba: picture.clone(), confidence: 1.0, method: Method::Alpha, bounds, warning: None })
}

/// Box around the pixels that are at least half covered; where there are none, around those covered at all.
fn bounds_of(picture: &Image) -> Result<Bounds> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    for least in [128, 13] {
        let mut bounds = Bounds { left: width, top: height, right: 0, bottom: 0 };
        for row in 0..height {
            for column in 0..width {
                if picture.at(row, column)[3] >= least {
                    bounds.left = bounds.left.min(column);
                    bounds.right = bounds.right.max(column + 1);
                    bounds.top = bounds.top.min(row);
                    bounds.bottom = bounds.bottom.max(row + 1);
                }
            }
        }
        if bounds.right > 0 {
            return Ok(bounds);
        }
    }
    Err(Error::invalid("no object is left in the picture; give a picture with something in it"))
}

/// Longest side at which the border method looks at a picture, in pixels.
const ANALYSIS_SIDE: usize = 1024;
/// Half the distance over which edges are measured, in pixels; the flood stops this far before an edge.
const EDGE_REACH: usize = 2;
/// Width of the band that is un-mixed, in pixels.
const BAND: u8 = 5;
/// Radius in which un-mixing looks for pure object and pure background colour.
const MIX_REACH: usize = 8;
/// Darkest shadow and brightest glow, as shares of the background's light.
const SHADOW_LIGHT: std::ops::RangeInclusive<f32> = 0.2..=1.8;
/// Lab difference below which a pixel is background whatever is beside it.
const NEARLY: f32 = 2.5;
/// Lab difference across the outline of a hole.
const FRAME_EDGE: f32 = 12.0;
/// Edges this many times the limit stop the flood wherever they are.
const NEAR_EDGE: f32 = 4.0;
/// How far a shadow's chroma may lie from the background's, in Lab units.
const SHADOW_CHROMA: f32 = 6.0;

fn from_border(picture: &Image, tolerance: f32, progress: &Progress) -> Result<Cutout> {
    const STEPS: usize = 8;
    progress.step(0, STEPS)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let linear = reduced(picture);
    let (w, h) = (linear.width, linear.height);
    progress.step(1, STEPS)?;
    let scene = Scene::new(&linear);

    progress.step(2, STEPS)?;
    let mut model = BackgroundModel::of_border(&scene)?;
    let mut flood = scene.flood(&model.predict(&scene), tolerance, false);
    // Each round knows more of the background and follows it more closely.
    for round in 0..2 {
        progress.step(3 + round, STEPS)?;
        if let Some(better) = BackgroundModel::of_flood(&scene, &flood) {
            model = better;
        }
        progress.check()?;
        let predicted = scene.follow(&flood, model.predict(&scene));
        progress.check()?;
        flood = scene.flood(&predicted, tolerance, true);
    }
    progress.step(5, STEPS)?;
    let predicted = scene.follow(&flood, model.predict(&scene));
    scene.flood_holes(&predicted, model.close(tolerance), tolerance, &mut flood);

    progress.step(6, STEPS)?;
    let matte = scene.matte(&linear, &flood);
    progress.step(7, STEPS)?;
    let kept = keep_plausible(&matte.alpha, w, h);
    let Some(kept) = kept else {
        return Err(Error::invalid(format!(
            "no object was found: nothing in the picture differs from its border by more than segment.tolerance = {tolerance}; \
             lower the tolerance, set segment.background to keep, or give a picture with a transparent background"
        )));
    };
    let (confidence, warning) = judge(&scene, &matte, &kept, &model);

    progress.check()?;
    let mut small = matte.color;
    for ((pixel, alpha), keep) in small.data.iter_mut().zip(&matte.alpha).zip(&kept.inside) {
        pixel[3] = if *keep { *alpha } else { 0.0 };
    }
    let mut rgba = picture.clone();
    rgba.pixels_mut().par_chunks_mut(width).enumerate().for_each(|(row, pixels)| {
        let y = (row as f32 + 0.5) * h as f32 / height as f32;
        for (column, pixel) in pixels.iter_mut().enumerate() {
            let source = small.bilinear((column as f32 + 0.5) * w as f32 / width as f32, y);
            if source[3] < 0.995 {
                for k in 0..3 {
                    pixel[k] = srgb8_from_linear(source[k]);
                }
            }
            pixel[3] = (source[3].clamp(0.0, 1.0) * f32::from(pixel[3]) + 0.5) as u8;
        }
    });
    let bounds = bounds_of(&rgba)?;
    Ok(Cutout { rgba, confidence, method: Method::Border, bounds, warning })
}

/// The picture in linear light, averaged down to at most `ANALYSIS_SIDE`.
fn reduced(picture: &Image) -> Plane<4> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let longest = width.max(height);
    if longest <= ANALYSIS_SIDE {
        return picture.to_linear();
    }
    // Whole factors first, straight from bytes: a large picture never exists as floats.
    let factor = longest.div_ceil(2 * ANALYSIS_SIDE);
    let (columns, rows) = (width.div_ceil(factor), height.div_ceil(factor));
    let table = &*LINEAR_FROM_SRGB8;
    let data = (0..rows)
        .into_par_iter()
        .flat_map_iter(|row| {
            let lines = row * factor..((row + 1) * factor).min(height);
            (0..columns).map(move |column| {
                let mut sum = [0.0f32; 4];
                let span = column * factor..((column + 1) * factor).min(width);
                for line in lines.clone() {
                    for at in span.clone() {
                        let [r, g, b, a] = picture.at(line, at);
                        sum[0] += table[r as usize];
                        sum[1] += table[g as usize];
                        sum[2] += table[b as usize];
                        sum[3] += f32::from(a) / 255.0;
                    }
                }
                sum.map(|x| x / (lines.len() * span.len()) as f32)
            })
        })
        .collect();
    let scale = ANALYSIS_SIDE as f64 / longest as f64;
    let side = |x: usize| ((x as f64 * scale).round() as usize).max(MIN_SIDE as usize);
    Plane { width: columns, height: rows, data }.resized(side(width), side(height))
}

/// The picture as the border method sees it.
struct Scene {
    width: usize,
    height: usize,
    /// CIE Lab, D65.
    lab: Vec<[f32; 3]>,
    /// Largest Lab difference across each pixel.
    edge: Vec<f32>,
    /// False where the picture was transparent already.
    opaque: Vec<bool>,
    /// Edge strength that counts as an edge in this picture's noise.
    edge_limit: f32,
}

impl Scene {
    fn new(linear: &Plane<4>) -> Self {
        let (width, height) = (linear.width, linear.height);
        let lab: Vec<[f32; 3]> = linear.data.iter().map(|&[r, g, b, _]| lab_from_linear([r, g, b])).collect();
        let mut edge = vec![0.0f32; width * height];
        let reach = EDGE_REACH;
        for row in 0..height {
            for column in 0..width {
                let clamped = |dr: isize, dc: isize| {
                    let r = (row as isize + dr * reach as isize).clamp(0, height as isize - 1) as usize;
                    let c = (column as isize + dc * reach as isize).clamp(0, width as isize - 1) as usize;
                    lab[r * width + c]
                };
                edge[row * width + column] = [(0, 1), (1, 0), (1, 1), (1, -1)]
                    .into_iter()
                    .map(|(dr, dc)| distance(clamped(dr, dc), clamped(-dr, -dc)))
                    .fold(0.0, f32::max);
            }
        }
        let opaque = linear.data.iter().map(|pixel| pixel[3] >= 0.5).collect();
        let mut scene = Self { width, height, lab, edge, opaque, edge_limit: 0.0 };
        let mut edges: Vec<f32> = scene.border().map(|index| scene.edge[index]).collect();
        let typical = percentile(&mut edges, 0.5);
        scene.edge_limit = (3.0 * typical + 1.0).clamp(3.0, 7.0);
        scene
    }

    /// Opaque pixels of the border strip.
    fn border(&self) -> impl Iterator<Item = usize> + '_ {
        let strip = (self.width.min(self.height) / 40).clamp(1, 12);
        (0..self.width * self.height).filter(move |&index| {
            let (row, column) = (index / self.width, index % self.width);
            let inside = row >= strip && column >= strip && row + strip < self.height && column + strip < self.width;
            !inside && self.opaque[index]
        })
    }

    /// Coordinates in -1..=1.
    fn unit(&self, index: usize) -> [f64; 2] {
        let (row, column) = (index / self.width, index % self.width);
        [(2.0 * column as f64 + 1.0) / self.width as f64 - 1.0, (2.0 * row as f64 + 1.0) / self.height as f64 - 1.0]
    }

    /// True where the flood may go: nearly the predicted colour, or similar or in other light and without an edge.
    fn is_open(&self, index: usize, predicted: [f32; 3], tolerance: f32) -> bool {
        let off = distance(self.lab[index], predicted);
        off < NEARLY && self.edge[index] < NEAR_EDGE * self.edge_limit
            || self.edge[index] < self.edge_limit && (off < tolerance || self.is_shadow_like(index, predicted))
    }

    fn is_shadow_like(&self, index: usize, predicted: [f32; 3]) -> bool {
        let lab = self.lab[index];
        let share = light(lab[0]) / light(predicted[0]).max(1e-4);
        if !SHADOW_LIGHT.contains(&share) {
            return false;
        }
        // Scaling linear light by k scales a and b by the cube root of k.
        let root = share.cbrt();
        let (da, db) = (lab[1] - predicted[1] * root, lab[2] - predicted[2] * root);
        (da * da + db * db).sqrt() < SHADOW_CHROMA
    }

    /// `smooth` corrected by what the flood shows nearby, carried under the object by a pyramid of averages.
    fn follow(&self, flood: &[bool], smooth: Vec<[f32; 3]>) -> Vec<[f32; 3]> {
        let data = (0..flood.len())
            .map(|index| {
                if !flood[index] || !self.opaque[index] {
                    return [0.0; 4];
                }
                let [l, a, b]: [f32; 3] = std::array::from_fn(|k| self.lab[index][k] - smooth[index][k]);
                [l, a, b, 1.0]
            })
            .collect();
        let mut levels = vec![Plane { width: self.width, height: self.height, data }];
        while let Some(last) = levels.last()
            && last.width.max(last.height) > 1
        {
            levels.push(last.resized(last.width.div_ceil(2), last.height.div_ceil(2)));
        }
        let mut filled = levels.pop().unwrap_or_else(|| Plane::filled(1, 1, [0.0; 4]));
        while let Some(mut finer) = levels.pop() {
            for row in 0..finer.height {
                for column in 0..finer.width {
                    let x = (column as f32 + 0.5) * filled.width as f32 / finer.width as f32;
                    let y = (row as f32 + 0.5) * filled.height as f32 / finer.height as f32;
                    let coarse = filled.bilinear(x, y);
                    let pixel = finer.at_mut(row, column);
                    // The missing weight comes from the coarser level, whose own weight has been filled to one.
                    let missing = (1.0 - pixel[3]) / coarse[3].max(1e-6);
                    for k in 0..4 {
                        pixel[k] += missing * coarse[k];
                    }
                }
            }
            filled = finer;
        }
        let mut predicted = smooth;
        for (predicted, residual) in predicted.iter_mut().zip(&filled.data) {
            for k in 0..3 {
                predicted[k] += residual[k];
            }
        }
        predicted
    }

    /// Background reached from the border without crossing an edge.
    ///
    /// With `deep_shadows`, the flood takes somewhat steeper steps at the foot of the object where the pixel can be a
    /// contact shadow, unless the object itself looks like one.
    fn flood(&self, predicted: &[[f32; 3]], tolerance: f32, deep_shadows: bool) -> Vec<bool> {
        let (width, height) = (self.width, self.height);
        let mut flood = vec![false; width * height];
        let mut queue = VecDeque::new();
        for index in 0..width * height {
            let (row, column) = (index / width, index % width);
            let on_border = row == 0 || column == 0 || row + 1 == height || column + 1 == width;
            if !self.opaque[index] || (on_border && distance(self.lab[index], predicted[index]) < tolerance) {
                flood[index] = true;
                queue.push_back(index);
            }
        }
        self.spread(&mut flood, queue, |index| self.is_open(index, predicted[index], tolerance));
        if !deep_shadows {
            return flood;
        }
        let (mut object, mut shadowy) = (0usize, 0usize);
        let (mut top, mut bottom) = (height, 0);
        for index in (0..width * height).filter(|&index| !flood[index]) {
            object += 1;
            shadowy += usize::from(self.is_shadow_like(index, predicted[index]));
            top = top.min(index / width);
            bottom = bottom.max(index / width);
        }
        if object > 0 && (shadowy as f32) < 0.4 * object as f32 {
            let first_row = bottom - (bottom - top) / 3;
            let queue = (first_row * width..width * height).filter(|&index| flood[index]).collect();
            self.spread(&mut flood, queue, |index| {
                index / width >= first_row
                    && self.edge[index] < 2.5 * self.edge_limit
                    && self.lab[index][0] < predicted[index][0]
                    && self.is_shadow_like(index, predicted[index])
            });
        }
        flood
    }

    /// Grows `flood` from `queue` over pixels that `allowed` admits; the pixels of the queue and those it reached.
    fn spread(&self, flood: &mut [bool], mut queue: VecDeque<usize>, allowed: impl Fn(usize) -> bool) -> Vec<usize> {
        let (width, height) = (self.width, self.height);
        let mut reached = Vec::new();
        for &index in &queue {
            flood[index] = true;
        }
        while let Some(index) = queue.pop_front() {
            reached.push(index);
            let (row, column) = (index / width, index % width);
            let mut visit = |next: usize| {
                if !flood[next] && allowed(next) {
                    flood[next] = true;
                    queue.push_back(next);
                }
            };
            if row > 0 {
                visit(index - width);
            }
            if row + 1 < height {
                visit(index + width);
            }
            if column > 0 {
                visit(index - 1);
            }
            if column + 1 < width {
                visit(index + 1);
            }
        }
        reached
    }

    /// Adds what is enclosed by the object but is background all the same, as inside a ring.
    fn flood_holes(&self, predicted: &[[f32; 3]], close: f32, tolerance: f32, flood: &mut [bool]) {
        let like = |index: usize| distance(self.lab[index], predicted[index]) < close;
        let smallest = (self.width * self.height / 5000).max(12);
        let mut seen = flood.to_vec();
        for start in 0..seen.len() {
            if seen[start] || !like(start) {
                continue;
            }
            let region = self.spread(&mut seen, VecDeque::from([start]), like);
            if region.len() < smallest || !self.is_framed(&region, &seen) {
                continue;
            }
            for &index in &region {
                flood[index] = true;
            }
            for index in self.spread(flood, region.into(), |index| self.is_open(index, predicted[index], tolerance)) {
                seen[index] = true;
            }
        }
    }

    /// True where most of a region's outline is an edge. A patch of the object that just passes through the
    /// background's colour shades off instead.
    fn is_framed(&self, region: &[usize], seen: &[bool]) -> bool {
        let (mut outline, mut sharp) = (0usize, 0usize);
        for &index in region {
            if self.any_near(index, 1, |other| !seen[other]) {
                let mut strongest = 0.0f32;
                self.for_near(index, 2 * EDGE_REACH, |other, _| strongest = strongest.max(self.edge[other]));
                outline += 1;
                sharp += usize::from(strongest > FRAME_EDGE.max(3.0 * self.edge_limit));
            }
        }
        sharp as f32 > 0.8 * outline as f32
    }

    /// Soft alpha and un-mixed colour from a hard flood.
    fn matte(&self, linear: &Plane<4>, flood: &[bool]) -> Matte {
        let (width, height) = (self.width, self.height);
        let depth = self.depth_into_object(flood);
        let mut alpha: Vec<f32> = flood.iter().map(|&background| if background { 0.0 } else { 1.0 }).collect();
        let mut color = linear.clone();
        let mut contrast = Vec::new();
        let rgb = |index: usize| -> [f32; 3] { std::array::from_fn(|k| linear.data[index][k]) };
        for index in 0..width * height {
            // Flooded pixels next to the object get its colour, so that filtering never mixes background in.
            let near_object = flood[index] && self.any_near(index, 1, |other| !flood[other]);
            if !near_object && (flood[index] || depth[index] > BAND) {
                continue;
            }
            let (mut background, mut background_weight) = ([0.0f32; 3], 0.0f32);
            let (mut object, mut object_weight) = ([0.0f32; 3], 0.0f32);
            self.for_near(index, MIX_REACH, |other, distance_squared| {
                let weight = 1.0 / (1.0 + distance_squared as f32);
                let (sum, total) = if flood[other] {
                    (&mut background, &mut background_weight)
                } else if depth[other] > BAND {
                    (&mut object, &mut object_weight)
                } else {
                    return;
                };
                let value = rgb(other);
                for k in 0..3 {
                    sum[k] += weight * value[k];
                }
                *total += weight;
            });
            if background_weight == 0.0 {
                continue;
            }
            let background = background.map(|x| x / background_weight);
            let object = if object_weight > 0.0 {
                object.map(|x| x / object_weight)
            } else {
                // A thin part: the purest object colour is the one least like the background.
                let mut purest = (0.0, rgb(index));
                self.for_near(index, BAND as usize, |other, _| {
                    let far = squared(rgb(other), background);
                    if !flood[other] && far > purest.0 {
                        purest = (far, rgb(other));
                    }
                });
                purest.1
            };
            if near_object {
                color.data[index][..3].copy_from_slice(&object);
                continue;
            }
            let apart = distance(lab_from_linear(object), lab_from_linear(background));
            if depth[index] == EDGE_REACH as u8 + 1 {
                contrast.push(apart);
            }
            let here = rgb(index);
            let span = squared(object, background).max(1e-8);
            let along: f32 = (0..3).map(|k| (here[k] - background[k]) * (object[k] - background[k])).sum();
            // A colour further from the background than the object's is not a mix of the two: an outline, say.
            let different = distance(lab_from_linear(here), lab_from_linear(background));
            let mixed = (along / span).clamp(0.0, 1.0).max(((different - apart) / apart.max(1.0)).clamp(0.0, 1.0));
            let mixed = ((mixed - 0.04) / 0.92).clamp(0.0, 1.0);
            // Where object and background are alike, colour says little: the edge is where the flood stopped.
            let by_place = ((f32::from(depth[index]) - EDGE_REACH as f32) * 0.5).clamp(0.0, 1.0);
            let trust = ((apart - 3.0) / 9.0).clamp(0.0, 1.0);
            let a = by_place + (mixed - by_place) * trust;
            alpha[index] = a;
            for k in 0..3 {
                let pure =
                    if a > 0.15 { ((here[k] - (1.0 - a) * background[k]) / a).clamp(0.0, 1.0) } else { object[k] };
                color.data[index][k] = pure;
            }
        }
        // What looks transparent inside of the band, but is cut off from the background, is the object's own colour.
        let mut open = flood.to_vec();
        let queue = (0..open.len()).filter(|&index| open[index]).collect();
        self.spread(&mut open, queue, |index| alpha[index] < 0.5);
        for index in 0..alpha.len() {
            if !open[index] && alpha[index] < 0.5 {
                alpha[index] = 1.0;
                color.data[index] = linear.data[index];
            }
        }
        Matte { alpha, color, contrast: percentile(&mut contrast, 0.3) }
    }

    /// Steps from each object pixel to the flood, up to `BAND + 1`.
    fn depth_into_object(&self, flood: &[bool]) -> Vec<u8> {
        let mut depth: Vec<u8> = flood.iter().map(|&background| if background { 0 } else { BAND + 1 }).collect();
        for level in 1..=BAND {
            let previous = depth.clone();
            for index in 0..depth.len() {
                if previous[index] > level && self.any_near(index, 1, |other| previous[other] == level - 1) {
                    depth[index] = level;
                }
            }
        }
        depth
    }

    fn any_near(&self, index: usize, reach: usize, test: impl Fn(usize) -> bool) -> bool {
        let mut any = false;
        self.for_near(index, reach, |other, _| any |= test(other));
        any
    }

    /// Calls `visit(pixel, squared distance)` for the square of pixels around `index`.
    fn for_near(&self, index: usize, reach: usize, mut visit: impl FnMut(usize, usize)) {
        let (row, column) = (index / self.width, index % self.width);
        for r in row.saturating_sub(reach)..(row + reach + 1).min(self.height) {
            for c in column.saturating_sub(reach)..(column + reach + 1).min(self.width) {
                let (dr, dc) = (r.abs_diff(row), c.abs_diff(column));
                visit(r * self.width + c, dr * dr + dc * dc);
            }
        }
    }
}

/// Result of un-mixing.
struct Matte {
    alpha: Vec<f32>,
    color: Plane<4>,
    /// Lab difference between object and background that 70 % of the outline exceeds.
    contrast: f32,
}

/// Smooth background: one polynomial in the picture's coordinates for each Lab channel.
struct BackgroundModel {
    order: usize,
    coefficients: [DVector<f64>; 3],
    /// Robust standard deviation of what it was fitted to, in Lab units.
    deviation: f32,
}

impl BackgroundModel {
    /// Monomials x^i y^j with i + j <= order.
    fn basis(order: usize, [x, y]: [f64; 2]) -> impl Iterator<Item = f64> {
        (0..=order).flat_map(move |total| (0..=total).map(move |j| x.powi((total - j) as i32) * y.powi(j as i32)))
    }

    /// The background's Lab colour at every pixel.
    fn predict(&self, scene: &Scene) -> Vec<[f32; 3]> {
        (0..scene.lab.len())
            .map(|index| {
                let mut lab = [0.0f64; 3];
                for (term, value) in Self::basis(self.order, scene.unit(index)).enumerate() {
                    for k in 0..3 {
                        lab[k] += self.coefficients[k][term] * value;
                    }
                }
                lab.map(|x| x as f32)
            })
            .collect()
    }

    /// Lab difference below which a pixel is nearly of the predicted colour.
    fn close(&self, tolerance: f32) -> f32 {
        (2.5 * self.deviation).clamp(NEARLY, (0.5 * tolerance).max(NEARLY))
    }

    fn of_border(scene: &Scene) -> Result<Self> {
        let border: Vec<usize> = scene.border().collect();
        Self::fit(scene, &border, 2)
            .or_else(|| Self::fit(scene, &border, 0))
            .ok_or_else(|| Error::invalid("the border of the picture is transparent; set segment.background to alpha"))
    }

    /// `None` when the flood is too small to say more than the border.
    fn of_flood(scene: &Scene, flood: &[bool]) -> Option<Self> {
        let known: Vec<usize> = (0..flood.len()).filter(|&index| flood[index] && scene.opaque[index]).collect();
        if known.len() < flood.len() / 20 { None } else { Self::fit(scene, &known, 3) }
    }

    /// Robust least squares (Tukey's biweight) over `pixels`.
    fn fit(scene: &Scene, pixels: &[usize], order: usize) -> Option<Self> {
        let terms = (order + 1) * (order + 2) / 2;
        let stride = (pixels.len() / 20_000).max(1);
        let samples: Vec<(Vec<f64>, [f32; 3])> = pixels
            .iter()
            .step_by(stride)
            .map(|&index| (Self::basis(order, scene.unit(index)).collect(), scene.lab[index]))
            .collect();
        if samples.len() < 4 * terms {
            return None;
        }
        // The median is the first guess, so that an object on the border cannot pull it far.
        let median: [f32; 3] =
            std::array::from_fn(|k| percentile(&mut samples.iter().map(|(_, lab)| lab[k]).collect::<Vec<_>>(), 0.5));
        let constant = |value: f32| {
            let mut coefficients = DVector::zeros(terms);
            coefficients[0] = f64::from(value);
            coefficients
        };
        let mut model = Self { order, coefficients: median.map(constant), deviation: 0.0 };
        let residuals = |model: &Self| -> Vec<f32> {
            samples
                .iter()
                .map(|(basis, lab)| {
                    let predicted: [f32; 3] = std::array::from_fn(|k| {
                        basis.iter().zip(model.coefficients[k].iter()).map(|(a, b)| a * b).sum::<f64>() as f32
                    });
                    distance(*lab, predicted)
                })
                .collect()
        };
        for _ in 0..8 {
            let residual = residuals(&model);
            let scale = percentile(&mut residual.clone(), 0.5).max(0.5) * 4.0;
            let mut normal = DMatrix::<f64>::zeros(terms, terms);
            let mut right: [DVector<f64>; 3] = std::array::from_fn(|_| DVector::zeros(terms));
            for ((basis, lab), r) in samples.iter().zip(&residual) {
                let share = f64::from(r / scale);
                if share >= 1.0 {
                    continue;
                }
                let weight = (1.0 - share * share).powi(2);
                for i in 0..terms {
                    for j in 0..=i {
                        normal[(i, j)] += weight * basis[i] * basis[j];
                    }
                    for k in 0..3 {
                        right[k][i] += weight * basis[i] * f64::from(lab[k]);
                    }
                }
            }
            let ridge = 1e-6 * (1.0 + normal[(0, 0)]);
            for i in 0..terms {
                normal[(i, i)] += ridge;
            }
            let factor = normal.cholesky()?;
            model.coefficients = right.map(|side| factor.solve(&side));
        }
        // 1.4826 times the median absolute residual estimates a standard deviation.
        model.deviation = 1.4826 * percentile(&mut residuals(&model), 0.5);
        Some(model)
    }
}

/// The parts of the matte that are the object.
struct Kept {
    inside: Vec<bool>,
    /// Share of the picture.
    share: f32,
    /// Area of what was dropped, as a share of what was kept.
    dropped: f32,
}

/// Keeps the largest part, parts of a similar size, and specks right beside them; drops the rest.
fn keep_plausible(alpha: &[f32], width: usize, height: usize) -> Option<Kept> {
    const UNSEEN: u32 = u32::MAX;
    let mut label = vec![UNSEEN; alpha.len()];
    let mut areas: Vec<(usize, usize)> = Vec::new();
    let mut stack = Vec::new();
    for start in 0..alpha.len() {
        if label[start] != UNSEEN || alpha[start] < 0.5 {
            continue;
        }
        let (mut area, mut on_border) = (0, 0);
        label[start] = areas.len() as u32;
        stack.push(start);
        while let Some(index) = stack.pop() {
            let (row, column) = (index / width, index % width);
            area += 1;
            on_border += usize::from(row == 0 || column == 0 || row + 1 == height || column + 1 == width);
            for r in row.saturating_sub(1)..(row + 2).min(height) {
                for c in column.saturating_sub(1)..(column + 2).min(width) {
                    let next = r * width + c;
                    if label[next] == UNSEEN && alpha[next] >= 0.5 {
                        label[next] = areas.len() as u32;
                        stack.push(next);
                    }
                }
            }
        }
        areas.push((area, on_border));
    }
    // A part along the border is rather a piece of the surroundings.
    let outline = (2 * (width + height)) as f32;
    let score =
        |&(area, on_border): &(usize, usize)| area as f32 * (1.0 - 0.9 * (3.0 * on_border as f32 / outline).min(1.0));
    let best = areas.iter().map(score).fold(0.0, f32::max);
    if best < 8.0f32.max(alpha.len() as f32 * 1e-4) {
        return None;
    }
    let keep: Vec<bool> = areas.iter().map(|part| score(part) >= 0.04 * best).collect();
    let kept_area: usize = areas.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(part, _)| part.0).sum();
    let total: usize = areas.iter().map(|part| part.0).sum();
    // Soft pixels go with the part they touch.
    let mut inside: Vec<bool> = label.iter().map(|&part| part != UNSEEN && keep[part as usize]).collect();
    for _ in 0..BAND {
        let previous = inside.clone();
        for index in 0..inside.len() {
            if inside[index] || alpha[index] <= 0.0 || label[index] != UNSEEN {
                continue;
            }
            let (row, column) = (index / width, index % width);
            inside[index] = (row.saturating_sub(1)..(row + 2).min(height))
                .any(|r| (column.saturating_sub(1)..(column + 2).min(width)).any(|c| previous[r * width + c]));
        }
    }
    Some(Kept {
        inside,
        share: kept_area as f32 / alpha.len() as f32,
        dropped: (total - kept_area) as f32 / kept_area as f32,
    })
}

/// Confidence and, where it is low, the reason.
fn judge(scene: &Scene, matte: &Matte, kept: &Kept, model: &BackgroundModel) -> (f32, Option<String>) {
    let falling = |value: f32, from: f32, to: f32| 1.0 - ((value - from) / (to - from)).clamp(0.0, 1.0);
    let (mut outline, mut covered) = (0usize, 0usize);
    for index in scene.border() {
        outline += 1;
        covered += usize::from(kept.inside[index]);
    }
    let on_border = covered as f32 / outline.max(1) as f32;
    let doubts = [
        (falling(model.deviation, 3.0, 12.0), "the background is not smooth".to_owned()),
        (1.0 - falling(matte.contrast, 2.0, 12.0), "the object is hardly different from the background".to_owned()),
        (
            falling(on_border, 0.08, 0.4),
            format!("the object covers {:.0} % of the picture's border", on_border * 100.0),
        ),
        (
            1.0 - falling(kept.share, 0.001, 0.01),
            format!("the object is only {:.1} % of the picture", kept.share * 100.0),
        ),
        (falling(kept.share, 0.8, 1.0), format!("the object is {:.0} % of the picture", kept.share * 100.0)),
        (falling(kept.dropped, 0.1, 0.8), "there are several things in the picture".to_owned()),
    ];
    let confidence = doubts.iter().map(|(sure, _)| sure).product::<f32>();
    if confidence >= Cutout::UNSURE {
        return (confidence, None);
    }
    let reason = doubts.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or("", |(_, reason)| reason.as_str());
    let warning = format!(
        "the object may be cut out badly: {reason} (confidence {confidence:.2}); check the cut-out, or give a picture with a \
         transparent or plain background"
    );
    (confidence, Some(warning))
}

/// The object on a square of `size_px`, centred; the larger side of its bounds fills `share` of it.
///
/// # Errors
/// When `share` is not in 0..=1 or the size is 0 or too large.
pub fn frame(cutout: &Cutout, size_px: u32, share: f32) -> Result<Image> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(Error::invalid(format!(
            "the object should fill {share} of the frame; give more than 0 and at most 1"
        )));
    }
    maquette_core::image::check_size(size_px, size_px)?;
    let (bounds, source) = (cutout.bounds, &cutout.rgba);
    let center = [(bounds.left + bounds.right) as f32 / 2.0, (bounds.top + bounds.bottom) as f32 / 2.0];
    let source_px = bounds.width().max(bounds.height()) as f32 / (share * size_px as f32);
    let samples = (source_px.ceil() as usize).clamp(1, 64);
    let side = size_px as usize;
    let offset = |index: usize, k: usize| index as f32 + (k as f32 + 0.5) / samples as f32 - side as f32 / 2.0;
    let data = (0..side)
        .into_par_iter()
        .flat_map_iter(|row| {
            (0..side).map(move |column| {
                let mut sum = [0.0f32; 4];
                for i in 0..samples {
                    for j in 0..samples {
                        let x = center[0] + offset(column, j) * source_px;
                        let y = center[1] + offset(row, i) * source_px;
                        for (sum, value) in sum.iter_mut().zip(premultiplied_at(source, x, y)) {
                            *sum += value;
                        }
                    }
                }
                if sum[3] < 1e-6 {
                    return [0.0; 4];
                }
                [sum[0] / sum[3], sum[1] / sum[3], sum[2] / sum[3], sum[3] / (samples * samples) as f32]
            })
        })
        .collect();
    Image::from_linear(&Plane { width: side, height: side, data })
}

/// Bilinear premultiplied linear colour at continuous pixel coordinates, transparent outside.
fn premultiplied_at(picture: &Image, x: f32, y: f32) -> [f32; 4] {
    let table = &*LINEAR_FROM_SRGB8;
    let (left, top) = ((x - 0.5).floor(), (y - 0.5).floor());
    let (fx, fy) = (x - 0.5 - left, y - 0.5 - top);
    let mut sum = [0.0f32; 4];
    for (dr, wy) in [(0, 1.0 - fy), (1, fy)] {
        for (dc, wx) in [(0, 1.0 - fx), (1, fx)] {
            let (row, column) = (top as isize + dr, left as isize + dc);
            if row < 0 || column < 0 || row >= picture.height() as isize || column >= picture.width() as isize {
                continue;
            }
            let [r, g, b, a] = picture.at(row as usize, column as usize);
            let weight = wx * wy * f32::from(a) / 255.0;
            sum[0] += weight * table[r as usize];
            sum[1] += weight * table[g as usize];
            sum[2] += weight * table[b as usize];
            sum[3] += weight;
        }
    }
    sum
}

/// CIE Lab (D65 white) of linear sRGB.
fn lab_from_linear([r, g, b]: [f32; 3]) -> [f32; 3] {
    let xyz = [
        (0.412_456 * r + 0.357_576 * g + 0.180_437 * b) / 0.950_47,
        0.212_673 * r + 0.715_152 * g + 0.072_175 * b,
        (0.019_334 * r + 0.119_192 * g + 0.950_304 * b) / 1.088_83,
    ];
    let [x, y, z] = xyz.map(|t| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// Relative luminance of CIE lightness.
fn light(lightness: f32) -> f32 {
    let y = (lightness + 16.0) / 116.0;
    if y > 0.206_9 { y * y * y } else { ((y - 16.0 / 116.0) / 7.787).max(0.0) }
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    squared(a, b).sqrt()
}

fn squared(a: [f32; 3], b: [f32; 3]) -> f32 {
    (0..3).map(|k| (a[k] - b[k]) * (a[k] - b[k])).sum()
}

/// Value below which `share` of `values` lie; 0 without values. Reorders them.
fn percentile(values: &mut [f32], share: f32) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let index = ((values.len() - 1) as f32 * share) as usize;
    *values.select_nth_unstable_by(index, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt as _;

    const SIDE: usize = 256;

    /// A picture from `color(x, y)` in linear light, with sensor noise of `noise` in 8-bit steps.
    fn picture(noise: f32, color: impl Fn(f32, f32) -> [f32; 3]) -> Image {
        let mut random = maquette_core::random::stream(7, "segment test");
        let mut pixels = Vec::new();
        for row in 0..SIDE {
            for column in 0..SIDE {
                let mut sum = [0.0f32; 3];
                for sub in 0..16 {
                    let at = |index: usize, k: usize| (index as f32 + (k as f32 + 0.5) / 4.0) / SIDE as f32;
                    let value = color(at(column, sub % 4), at(row, sub / 4));
                    for k in 0..3 {
                        sum[k] += value[k] / 16.0;
                    }
                }
                let byte = sum.map(|x| {
                    let off = noise * (random.random::<f32>() + random.random::<f32>() - 1.0);
                    (f32::from(srgb8_from_linear(x)) + off).round().clamp(0.0, 255.0) as u8
                });
                pixels.push([byte[0], byte[1], byte[2], 255]);
            }
        }
        Image::new(SIDE as u32, SIDE as u32, pixels).unwrap()
    }

    /// Overlap of the cut-out with the true object.
    fn iou(cutout: &Cutout, object: impl Fn(f32, f32) -> bool) -> f32 {
        let (mut both, mut either) = (0, 0);
        for row in 0..SIDE {
            for column in 0..SIDE {
                let truth = object((column as f32 + 0.5) / SIDE as f32, (row as f32 + 0.5) / SIDE as f32);
                let found = cutout.rgba.at(row, column)[3] >= 128;
                both += i32::from(truth && found);
                either += i32::from(truth || found);
            }
        }
        both as f32 / either as f32
    }

    fn run(picture: &Image) -> Cutout {
        segment(picture, &Segment::default(), &Progress::new()).unwrap()
    }

    fn ball(x: f32, y: f32) -> Option<f32> {
        let (u, v) = ((x - 0.5) / 0.3, (y - 0.48) / 0.3);
        let rest = 1.0 - u * u - v * v;
        // Light from the upper left in front.
        (rest >= 0.0).then(|| (-0.4 * u - 0.5 * v + 0.77 * rest.sqrt()).max(0.0))
    }

    fn soft_shadow(x: f32, y: f32) -> f32 {
        let (u, v) = ((x - 0.55) / 0.34, (y - 0.78) / 0.08);
        1.0 - 0.45 * (-(u * u + v * v)).exp()
    }

    #[test]
    fn white_ball_on_a_white_gradient_with_a_soft_shadow() {
        for noise in [0.0, 2.0] {
            let picture = picture(noise, |x, y| {
                ball(x, y).map_or_else(
                    || [(0.95 - 0.2 * y + 0.05 * x) * soft_shadow(x, y); 3],
                    |shade| [0.25 + 0.6 * shade; 3],
                )
            });
            let cutout = run(&picture);
            let overlap = iou(&cutout, |x, y| ball(x, y).is_some());
            assert!(overlap > 0.95, "noise {noise}: {overlap}");
            assert_eq!(cutout.method, Method::Border);
        }
    }

    #[test]
    fn grey_gradient_and_coloured_object() {
        let picture = picture(1.5, |x, y| {
            ball(x, y).map_or_else(
                || [(0.2 + 0.3 * (1.0 - y)) * soft_shadow(x, y); 3],
                |shade| [0.05 + 0.6 * shade, 0.1 * shade, 0.05],
            )
        });
        let cutout = run(&picture);
        let overlap = iou(&cutout, |x, y| ball(x, y).is_some());
        assert!(overlap > 0.98 && cutout.warning.is_none(), "{overlap} {:?}", cutout.warning);
    }

    #[test]
    fn rings_keep_their_hole_and_eyes_stay() {
        let ring = |x: f32, y: f32| (0.15..0.3).contains(&(x - 0.5).hypot(y - 0.5));
        // A light spot on the ring, not as light as the background.
        let eye = |x: f32, y: f32| (x - 0.5).hypot(y - 0.275) < 0.04;
        let cutout = run(&picture(1.0, |x, y| {
            if eye(x, y) {
                [0.8; 3]
            } else if ring(x, y) {
                [0.1, 0.3, 0.05]
            } else {
                [0.97; 3]
            }
        }));
        let overlap = iou(&cutout, ring);
        assert!(overlap > 0.97, "{overlap}");
        assert_eq!(cutout.rgba.at(128, 128)[3], 0);
    }

    #[test]
    fn edges_are_soft_and_un_mixed() {
        let cutout = run(&picture(0.0, |x, y| if ball(x, y).is_some() { [0.8, 0.02, 0.02] } else { [0.9; 3] }));
        let soft: Vec<[u8; 4]> =
            cutout.rgba.pixels().iter().copied().filter(|pixel| (40..215).contains(&pixel[3])).collect();
        assert!(soft.len() > 100, "{}", soft.len());
        // Without un-mixing, half-covered pixels would be pink (green near 190).
        assert!(soft.iter().all(|pixel| pixel[1] < 90), "{:?}", soft.iter().map(|pixel| pixel[1]).max());
        let area: f32 = cutout.rgba.pixels().iter().map(|pixel| f32::from(pixel[3]) / 255.0).sum();
        let truth = std::f32::consts::PI * (0.3 * SIDE as f32).powi(2);
        assert!((area / truth - 1.0).abs() < 0.01, "{area} {truth}");
    }

    #[test]
    fn useful_alpha_wins_and_rounded_corners_do_not() {
        let mut with_alpha = Image::filled(32, 32, [200, 10, 10, 255]).unwrap();
        for (index, pixel) in with_alpha.pixels_mut().iter_mut().enumerate() {
            if index / 32 < 4 {
                pixel[3] = 0;
            }
        }
        let cutout = run(&with_alpha);
        assert_eq!((cutout.method, cutout.bounds), (Method::Alpha, Bounds { left: 0, top: 4, right: 32, bottom: 32 }));

        let mut rounded = picture(0.0, |x, y| if ball(x, y).is_some() { [0.8, 0.02, 0.02] } else { [0.9; 3] });
        for corner in [0, SIDE - 1, SIDE * (SIDE - 1), SIDE * SIDE - 1] {
            rounded.pixels_mut()[corner][3] = 0;
        }
        assert_eq!(run(&rounded).method, Method::Border);
    }

    #[test]
    fn hopeless_pictures_say_so() {
        let refused =
            |picture: &Image| segment(picture, &Segment::default(), &Progress::new()).unwrap_err().to_string();
        assert!(refused(&Image::filled(1, 1, [9; 4]).unwrap()).contains("1x1"));
        assert!(refused(&Image::filled(64, 64, [9, 9, 9, 0]).unwrap()).contains("fully transparent"));
        let plain = refused(&Image::filled(64, 64, [120, 90, 60, 255]).unwrap());
        assert!(plain.contains("no object was found") && plain.contains("12"), "{plain}");
        let opaque = Image::filled(64, 64, [9, 9, 9, 255]).unwrap();
        let alpha = Segment { background: Background::Alpha, ..Segment::default() };
        assert!(segment(&opaque, &alpha, &Progress::new()).unwrap_err().to_string().contains("no transparent pixel"));
        let kept = segment(&opaque, &Segment { background: Background::Keep, ..Segment::default() }, &Progress::new())
            .unwrap();
        assert_eq!(kept.bounds, Bounds { left: 0, top: 0, right: 64, bottom: 64 });
    }

    #[test]
    fn cluttered_backgrounds_warn() {
        let cutout = segment(
            &picture(0.0, |x, y| {
                let (i, j) = ((x * 9.0) as i32, (y * 7.0) as i32);
                std::array::from_fn(|k| ((i * 7 + j * 13 + k as i32 * 5) % 11) as f32 / 11.0)
            }),
            &Segment::default(),
            &Progress::new(),
        );
        let unsure = match &cutout {
            Ok(cutout) => cutout.confidence < Cutout::UNSURE && cutout.warning.is_some(),
            Err(_) => true,
        };
        assert!(unsure, "{:?}", cutout.map(|cutout| cutout.confidence));
    }

    #[test]
    fn large_pictures_are_cut_like_small_ones() {
        let small = picture(0.0, |x, y| if ball(x, y).is_some() { [0.8, 0.02, 0.02] } else { [0.9; 3] });
        let times = 11;
        let side = SIDE * times;
        let pixels = (0..side * side).map(|index| small.at(index / side / times, index % side / times)).collect();
        let cutout = run(&Image::new(side as u32, side as u32, pixels).unwrap());
        let area = cutout.rgba.pixels().iter().map(|pixel| f64::from(pixel[3]) / 255.0).sum::<f64>();
        let truth = std::f64::consts::PI * (0.3 * side as f64).powi(2);
        assert!((area / truth - 1.0).abs() < 0.01, "{area} {truth}");
        assert_eq!(cutout.rgba.at(side / 2, side / 2), [231, 39, 39, 255]);
    }

    #[test]
    fn framing_centres_and_fills_the_share() {
        let mut image = Image::filled(40, 90, [0; 4]).unwrap();
        for row in 10..60 {
            for column in 5..30 {
                image.pixels_mut()[row * 40 + column] = [250, 128, 3, 255];
            }
        }
        let framed = frame(&run(&image), 100, 0.8).unwrap();
        let bounds = bounds_of(&framed).unwrap();
        assert_eq!(bounds, Bounds { left: 30, top: 10, right: 70, bottom: 90 });
        assert_eq!(framed.at(50, 50), [250, 128, 3, 255]);
        assert!(frame(&run(&image), 0, 0.8).is_err() && frame(&run(&image), 64, f32::NAN).is_err());
    }
}
