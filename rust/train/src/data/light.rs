//! Lamps and film: turns what the camera sees into a picture.

use maquette_core::color::srgb_from_linear;
use maquette_prior::frustum::{DEPTH_BINS, Frustum, PICTURE_PX};
use maquette_prior::shapes::{Dice, Vec3};

use super::look::Picture;

/// A key light with a shadow, a fill light, and light from the sky and the ground.
pub(crate) struct Lights {
    key: Vec3,
    key_color: Vec3,
    fill: Vec3,
    fill_color: Vec3,
    sky: Vec3,
    ground: Vec3,
    /// How dark shadows of the key light are, 0..=1.
    shadow: f32,
    /// Brightness of the picture's brighter parts.
    exposure: f32,
    contrast: f32,
    noise: f32,
}

impl Lights {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let style = dice.below(10);
        let tint = |dice: &mut Dice, strength: f32| -> Vec3 {
            let warmth = dice.normal() * 0.08;
            [strength * (1.0 + warmth), strength, strength * (1.0 - warmth)]
        };
        let (key_strength, ambient) = match style {
            // Flat: drawings and overcast days.
            0 => (dice.between(0.0, 0.15), 1.0),
            1 | 2 => (dice.between(0.3, 0.8), dice.between(0.5, 0.9)),
            _ => (dice.between(0.7, 1.4), dice.between(0.1, 0.5)),
        };
        // Mostly from above and in front; sometimes a flash at the camera.
        let key = if dice.chance(0.2) {
            [dice.between(-0.15, 0.15), dice.between(-0.1, 0.3), 1.0]
        } else {
            [dice.between(-1.2, 1.2), dice.between(0.1, 1.5), dice.between(-0.3, 1.2)]
        };
        let fill_strength = dice.between(0.0, 0.5);
        let ground_strength = ambient * dice.between(0.3, 1.0);
        Self {
            key: unit(key),
            key_color: tint(dice, key_strength),
            fill: unit([-key[0] + dice.between(-0.5, 0.5), dice.between(-0.3, 0.6), 0.8]),
            fill_color: tint(dice, fill_strength),
            sky: tint(dice, ambient),
            ground: tint(dice, ground_strength),
            shadow: if dice.chance(0.3) { 0.0 } else { dice.between(0.3, 1.0) },
            exposure: dice.between(0.45, 1.1),
            contrast: dice.between(0.85, 1.2),
            noise: if dice.chance(0.5) { 0.0 } else { dice.between(0.0, 0.03) },
        }
    }

    /// The lit picture as sRGB planes, 0 where nothing is covered.
    pub(crate) fn develop(
        &self,
        picture: &Picture,
        occupancy: &[u8],
        frustum: &Frustum,
        [gloss, shininess]: [f32; 2],
        dice: &mut Dice,
    ) -> Vec<f32> {
        let area = PICTURE_PX * PICTURE_PX;
        let mut sum = vec![[0.0f32; 4]; area];
        let room = Room::new(occupancy, frustum);
        let mut shaded: Option<(u32, f32, f32)> = None;
        for hit in &picture.hits {
            // Shadow and nearness to other surfaces are soft: once a pixel is enough.
            let (lit, open) = match shaded {
                Some((pixel, lit, open)) if pixel == hit.pixel => (lit, open),
                _ => {
                    let lit = 1.0 - self.shadow * room.blocked(hit.point, hit.normal, self.key);
                    let open = room.openness(hit.point, hit.normal);
                    shaded = Some((hit.pixel, lit, open));
                    (lit, open)
                }
            };
            let to_camera = unit(room.to_camera(hit.point));
            // Back faces of open meshes are lit from the side that is seen.
            let n = if dot(hit.normal, to_camera) < 0.0 { hit.normal.map(|x| -x) } else { hit.normal };
            let key = dot(n, self.key).max(0.0) * lit;
            let fill = dot(n, self.fill).max(0.0);
            let up = 0.5 + 0.5 * n[1];
            let half = unit([0, 1, 2].map(|k| self.key[k] + to_camera[k]));
            let shine = gloss * dot(n, half).max(0.0).powf(shininess) * lit;
            let pixel = &mut sum[hit.pixel as usize];
            for k in 0..3 {
                let around = (self.ground[k] + (self.sky[k] - self.ground[k]) * up) * open;
                pixel[k] += hit.albedo[k] * (around + self.key_color[k] * key + self.fill_color[k] * fill)
                    + shine * self.key_color[k];
            }
            pixel[3] += 1.0;
        }
        let gain = self.gain(&sum);
        let mut rgb = vec![0.0; 3 * area];
        for (pixel, color) in sum.iter().enumerate() {
            if color[3] == 0.0 {
                continue;
            }
            for k in 0..3 {
                let value = srgb_from_linear((gain * color[k] / color[3]).clamp(0.0, 1.0)).powf(self.contrast);
                let noise = if self.noise > 0.0 { self.noise * dice.normal() } else { 0.0 };
                rgb[k * area + pixel] = (value + noise).clamp(0.0, 1.0);
            }
        }
        rgb
    }

    /// Exposes for the brighter parts.
    fn gain(&self, sum: &[[f32; 4]]) -> f32 {
        let mut bright: Vec<f32> = sum
            .iter()
            .filter(|color| color[3] > 0.0)
            .map(|color| color[0].max(color[1]).max(color[2]) / color[3])
            .collect();
        if bright.is_empty() {
            return 1.0;
        }
        bright.sort_by(f32::total_cmp);
        let high = bright[bright.len() * 9 / 10];
        // Dark things stay rather dark.
        self.exposure / high.max(0.02) * (high / (high + 0.15))
    }
}

/// The filled frustum as light meets it.
struct Room<'a> {
    occupancy: &'a [u8],
    frustum: &'a Frustum,
    sin: f32,
    cos: f32,
}

impl<'a> Room<'a> {
    fn new(occupancy: &'a [u8], frustum: &'a Frustum) -> Self {
        let (sin, cos) = frustum.elevation_degrees.to_radians().sin_cos();
        Self { occupancy, frustum, sin, cos }
    }

    fn to_camera(&self, point: Vec3) -> Vec3 {
        let f = self.frustum;
        let eye = [f.center[0], f.center[1] + f.distance * self.sin, f.center[2] + f.distance * self.cos];
        [0, 1, 2].map(|k| eye[k] - point[k])
    }

    fn solid(&self, point: Vec3) -> bool {
        let f = self.frustum;
        let q = [0, 1, 2].map(|k| point[k] - f.center[k]);
        let (up, behind) = (q[1] * self.cos - q[2] * self.sin, -q[1] * self.sin - q[2] * self.cos);
        let spread = f.width * (1.0 + behind / f.distance);
        let column = (q[0] / spread + 0.5) * PICTURE_PX as f32;
        let row = (0.5 - up / spread) * PICTURE_PX as f32;
        let layer = (behind / f.depth + 0.5) * DEPTH_BINS as f32;
        let inside = |x: f32, limit: usize| x >= 0.0 && x < limit as f32;
        inside(column, PICTURE_PX)
            && inside(row, PICTURE_PX)
            && inside(layer, DEPTH_BINS)
            && self.occupancy[(layer as usize * PICTURE_PX + row as usize) * PICTURE_PX + column as usize] == 1
    }

    /// 1 where something stands between the point and the light.
    fn blocked(&self, point: Vec3, normal: Vec3, light: Vec3) -> f32 {
        if dot(normal, light) <= 0.0 {
            return 0.0;
        }
        let voxel = self.frustum.depth / DEPTH_BINS as f32;
        let start = [0, 1, 2].map(|k| point[k] + normal[k] * 1.2 * voxel);
        let steps = 20;
        let blocked =
            (1..=steps).any(|step| self.solid([0, 1, 2].map(|k| start[k] + light[k] * voxel * 1.2 * step as f32)));
        f32::from(blocked)
    }

    /// Share of the room around a surface point that is free.
    fn openness(&self, point: Vec3, normal: Vec3) -> f32 {
        let voxel = self.frustum.depth / DEPTH_BINS as f32;
        let mut free = 0;
        for direction in AROUND {
            let d: Vec3 = std::array::from_fn(|k| normal[k] * 1.2 + direction[k]);
            let hidden = [1.5, 3.5].iter().any(|reach| self.solid([0, 1, 2].map(|k| point[k] + d[k] * reach * voxel)));
            free += u8::from(!hidden);
        }
        0.35 + 0.65 * f32::from(free) / AROUND.len() as f32
    }
}

const AROUND: [Vec3; 6] =
    [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]];

fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn unit(a: Vec3) -> Vec3 {
    let length = dot(a, a).sqrt().max(1e-9);
    a.map(|x| x / length)
}
