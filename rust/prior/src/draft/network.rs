//! The draft network: from the silhouette of one picture to what fills the camera's frustum.
//!
//! A U-Net over the picture (Ronneberger et al. 2015) with pre-activation residual blocks, whose output channels are the
//! layers of depth, so that the silhouette is kept by construction. At its narrowest level a bottleneck sees the whole
//! picture; the camera's elevation is read off there.

use candle_core::{Result, Tensor};

use crate::frustum::{DEPTH_BINS, PICTURE_PX};
use crate::nn::{Conv2d, Linear, NormSilu, Residual, Weights, Window, sum, upsample};

/// Pixels of the picture on each axis that become channels of one pixel of the network, and back.
pub const PATCH: usize = 2;
/// Rows and columns of the network's finest level.
pub const SIDE: usize = PICTURE_PX / PATCH;
/// Unit of the elevation output, in degrees.
pub const ELEVATION_UNIT: f32 = 30.0;
/// Channels at each level, finest first.
const CHANNELS: [usize; 4] = [64, 128, 192, 256];
/// Rows and columns of the narrowest level.
const NARROWEST: usize = SIDE >> (CHANNELS.len() - 1);
/// Numbers that sum up the whole picture.
const SUMMARY: usize = 256;

/// Planes of the picture that the network sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Planes {
    /// Mask, column, row, framing.
    #[default]
    Mask,
    /// The same and sRGB.
    Color,
}

impl Planes {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Self::Mask => 4,
            Self::Color => 7,
        }
    }
}

/// The picture as the network takes it, `[SIDE, SIDE, PATCH², planes]` flat.
///
/// `mask` is coverage 0..=1, `rgb` three sRGB planes, both `PICTURE_PX` squared; `rgb` may be empty where colours are not known.
pub fn picture_input(mask: &[f32], rgb: &[f32], tight: bool, planes: Planes) -> Vec<f32> {
    let area = PICTURE_PX * PICTURE_PX;
    let mut out = Vec::with_capacity(area * planes.count());
    for pixel in patch_order() {
        let centred = |index: usize| (index as f32 + 0.5) / PICTURE_PX as f32 * 2.0 - 1.0;
        let (row, column) = (pixel / PICTURE_PX, pixel % PICTURE_PX);
        out.extend([mask[pixel], centred(column), centred(row), f32::from(u8::from(tight))]);
        if planes == Planes::Color {
            out.extend((0..3).map(|k| rgb.get(k * area + pixel).copied().unwrap_or(0.0)));
        }
    }
    out
}

/// Pixels of the picture in the order in which the network's channels hold them.
pub fn patch_order() -> impl Iterator<Item = usize> {
    (0..SIDE * SIDE * PATCH * PATCH).map(|index| {
        let (patch, sub) = (index / (PATCH * PATCH), index % (PATCH * PATCH));
        let (row, column) = (patch / SIDE * PATCH + sub / PATCH, patch % SIDE * PATCH + sub % PATCH);
        row * PICTURE_PX + column
    })
}

/// The network with its parameters.
#[derive(Clone, Debug)]
pub struct DraftNet {
    stem: Conv2d,
    down: Vec<Residual>,
    narrow: Vec<Conv2d>,
    middle: Residual,
    summary_norm: NormSilu,
    summarize: Linear,
    spread: Linear,
    elevation: [Linear; 2],
    up: Vec<Up>,
    last_norm: NormSilu,
    last: Conv2d,
}

/// One level on the way up.
#[derive(Clone, Debug)]
struct Up {
    widen: Conv2d,
    merge: Conv2d,
    block: Residual,
}

/// What the network says of a batch of pictures.
#[derive(Clone, Debug)]
pub struct DraftOutput {
    /// Logits of being inside, `[batch, SIDE, SIDE, PATCH² · DEPTH_BINS]`; pixels as in [`patch_order`].
    pub logits: Tensor,
    /// Camera elevation in units of [`ELEVATION_UNIT`], `[batch]`.
    pub elevation: Tensor,
}

impl DraftNet {
    /// Takes all parameters from `weights`.
    pub fn new(weights: &mut Weights, planes: Planes) -> Result<Self> {
        let (three, one) = (Window::Centred(3), Window::Centred(1));
        let stem = Conv2d::new(weights, "stem", PATCH * PATCH * planes.count(), CHANNELS[0], three)?;
        let (mut down, mut narrow, mut up) = (Vec::new(), Vec::new(), Vec::new());
        for (level, &channels) in CHANNELS.iter().enumerate() {
            down.push(Residual::new(weights, &format!("down{level}"), channels)?);
            if let Some(&next) = CHANNELS.get(level + 1) {
                narrow.push(Conv2d::new(weights, &format!("narrow{level}"), channels, next, Window::Tiled(2))?);
            }
        }
        let last = CHANNELS[CHANNELS.len() - 1];
        let middle = Residual::new(weights, "middle", last)?;
        let flat = NARROWEST * NARROWEST * last;
        let summary_norm = NormSilu::new(weights, "summary_norm", last)?;
        let summarize = Linear::new(weights, "summarize", flat, SUMMARY)?;
        let spread = Linear::new_zero(weights, "spread", SUMMARY, flat)?;
        let elevation =
            [Linear::new(weights, "elevation1", SUMMARY, 64)?, Linear::new_zero(weights, "elevation2", 64, 1)?];
        for level in (0..CHANNELS.len() - 1).rev() {
            let channels = CHANNELS[level];
            up.push(Up {
                widen: Conv2d::new(weights, &format!("widen{level}"), CHANNELS[level + 1], channels, one)?,
                merge: Conv2d::new(weights, &format!("merge{level}"), 2 * channels, channels, one)?,
                block: Residual::new(weights, &format!("up{level}"), channels)?,
            });
        }
        let last_norm = NormSilu::new(weights, "last_norm", CHANNELS[0])?;
        let last = Conv2d::new(weights, "last", CHANNELS[0], PATCH * PATCH * DEPTH_BINS, one)?;
        Ok(Self { stem, down, narrow, middle, summary_norm, summarize, spread, elevation, up, last_norm, last })
    }

    /// `pictures` is `[batch, SIDE, SIDE, PATCH² · planes]`, see [`picture_input`].
    pub fn forward(&self, pictures: &Tensor) -> Result<DraftOutput> {
        let batch = pictures.dim(0)?;
        let mut x = self.stem.forward(pictures)?;
        let mut skips = Vec::new();
        for (level, block) in self.down.iter().enumerate() {
            x = block.forward(&x)?;
            if let Some(narrow) = self.narrow.get(level) {
                let coarser = narrow.forward(&x)?;
                skips.push(std::mem::replace(&mut x, coarser));
            }
        }
        x = self.middle.forward(&x)?;
        let flat = self.summary_norm.forward(&x)?.reshape((batch, ()))?;
        let summary = self.summarize.forward(&flat)?.silu()?;
        let [inner, outer] = &self.elevation;
        let elevation = outer.forward(&inner.forward(&summary)?.silu()?)?.reshape(batch)?;
        x = sum(&x, &self.spread.forward(&summary)?.reshape(x.shape())?)?;
        for Up { widen, merge, block } in &self.up {
            let Some(skip) = skips.pop() else { candle_core::bail!("fewer levels down than up") };
            let wide = upsample(&widen.forward(&x)?)?;
            x = block.forward(&merge.forward(&Tensor::cat(&[&wide, &skip], 3)?)?)?;
        }
        let logits = self.last.forward(&self.last_norm.forward(&x)?)?;
        Ok(DraftOutput { logits, elevation })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn every_parameter_gets_a_gradient() {
        let mut weights = Weights::fresh(1, &Device::Cpu);
        let net = DraftNet::new(&mut weights, Planes::Color).unwrap();
        let variables = weights.into_variables();
        let mask: Vec<f32> = (0..PICTURE_PX * PICTURE_PX).map(|k| f32::from(u8::from(k % 7 < 4))).collect();
        let rgb = vec![0.5; 3 * mask.len()];
        let input = picture_input(&mask, &rgb, true, Planes::Color);
        let pictures = Tensor::from_vec(input, (1, SIDE, SIDE, 28), &Device::Cpu).unwrap();
        // Zero-initialised layers block gradients, so give every parameter a value.
        for (_, variable) in &variables {
            variable.set(&Tensor::randn(0.0f32, 0.05, variable.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        let out = net.forward(&pictures).unwrap();
        assert_eq!(out.logits.dims(), [1, SIDE, SIDE, PATCH * PATCH * DEPTH_BINS]);
        let loss = (out.logits.sqr().unwrap().sum_all().unwrap() + out.elevation.sum_all().unwrap()).unwrap();
        let gradients = loss.backward().unwrap();
        for (name, variable) in &variables {
            let gradient = gradients.get(variable).unwrap_or_else(|| panic!("{name}"));
            let largest: f32 = gradient.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap();
            assert!(largest > 0.0 && largest.is_finite(), "{name}: {largest}");
        }
    }

    #[test]
    fn patches_hold_every_pixel_once() {
        let mut seen = vec![0; PICTURE_PX * PICTURE_PX];
        patch_order().for_each(|pixel| seen[pixel] += 1);
        assert!(seen.iter().all(|&count| count == 1));
        assert_eq!(patch_order().take(5).collect::<Vec<_>>(), [0, 1, PICTURE_PX, PICTURE_PX + 1, 2]);
    }
}
