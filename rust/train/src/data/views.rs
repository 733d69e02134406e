//! Samples of the view-to-latent network: random shapes as six views of normals, spoilt the way that generated ones are.

use maquette_core::Camera;
pub use maquette_prior::lin::network::{VIEW_CHANNELS, VIEWS};
use maquette_prior::shapes::{Dice, SdfCube, Vec3};

use super::cubes::shape_sample;

/// Six views of a random shape.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewsSample {
    /// The shape.
    pub shape: SdfCube,
    /// What the six cameras see: [`VIEWS`] x [`VIEW_CHANNELS`] planes of `size_px` squared; normals are 0 outside of the mask.
    pub clean: Vec<f32>,
    /// The same, spoilt.
    pub spoilt: Vec<f32>,
    /// Pixels on a side.
    pub size_px: usize,
}

/// Views `index` of the stream of `seed`: the shape of [`shape_sample`] and its six views.
pub fn views_sample(seed: u64, index: u64, size: usize, size_px: usize) -> ViewsSample {
    let shape = shape_sample(seed, index, size);
    let mut dice = Dice::new(seed, &format!("views sample {index}"));
    let clean = views_of(&shape, size_px);
    let spoilt = spoilt(&clean, size_px, &mut dice);
    ViewsSample { shape, clean, spoilt, size_px }
}

/// What the six cameras see of a shape: [`VIEWS`] x [`VIEW_CHANNELS`] planes of `size_px` squared.
pub fn views_of(shape: &SdfCube, size_px: usize) -> Vec<f32> {
    Camera::six_views(size_px).iter().flat_map(|camera| look(shape, camera)).collect()
}

/// Views of [`VIEW_CHANNELS`] planes as a generator might draw them.
pub fn spoilt(clean: &[f32], size_px: usize, dice: &mut Dice) -> Vec<f32> {
    let strength = dice.between(0.0, 1.0);
    clean
        .chunks_exact(VIEW_CHANNELS * size_px * size_px)
        .flat_map(|view| Corruption::random(dice, strength, size_px).apply(view, size_px, dice))
        .collect()
}

/// Trilinear distance; outside of the cube at least the way to it.
fn distance(shape: &SdfCube, p: Vec3) -> f32 {
    let last = (shape.size - 1) as f32;
    let u = p.map(|x| (x + 0.5) * shape.size as f32 - 0.5);
    let inside = u.map(|x| x.clamp(0.0, last));
    let cell = inside.map(|x| (x as usize).min(shape.size - 2));
    let f: Vec3 = std::array::from_fn(|k| inside[k] - cell[k] as f32);
    let mut value = 0.0;
    for corner in 0..8usize {
        let bit = |k: usize| corner >> k & 1;
        let weight: f32 = (0..3).map(|k| if bit(k) == 1 { f[k] } else { 1.0 - f[k] }).product();
        let at = ((cell[2] + bit(2)) * shape.size + cell[1] + bit(1)) * shape.size + cell[0] + bit(0);
        value += weight * shape.values[at];
    }
    let off: f32 = (0..3).map(|k| (u[k] - inside[k]).powi(2)).sum::<f32>().sqrt() / shape.size as f32;
    value + off
}

/// Sphere tracing (Hart 1996) of one view, one ray a pixel; the coverage is softened over a pixel at the outline.
fn look(shape: &SdfCube, camera: &Camera) -> Vec<f32> {
    let (width, area) = (camera.width, camera.width * camera.height);
    let mut planes = vec![0.0; VIEW_CHANNELS * area];
    let origin = [camera.position.x, camera.position.y, camera.position.z];
    let range = origin.iter().map(|x| x * x).sum::<f32>().sqrt();
    for pixel in 0..area {
        let direction = camera.ray_in_world((pixel % width) as f32 + 0.5, (pixel / width) as f32 + 0.5);
        let (mut t, end) = (range - 0.6, range + 0.6);
        let pixel_size = range / camera.focal_px[0];
        let mut nearest = f32::MAX;
        let mut met = None;
        for _ in 0..200 {
            let p: Vec3 = std::array::from_fn(|k| origin[k] + direction[k] * t);
            let d = distance(shape, p);
            nearest = nearest.min(d);
            if d < 0.02 * pixel_size {
                met = Some(p);
                break;
            }
            // Distances on a grid are not exact.
            t += (0.8 * d).max(0.1 * pixel_size);
            if t > end {
                break;
            }
        }
        let Some(p) = met else {
            planes[3 * area + pixel] = (0.5 - nearest / pixel_size).clamp(0.0, 0.5);
            continue;
        };
        let h = 0.7 / shape.size as f32;
        let slope: Vec3 = std::array::from_fn(|k| {
            let (mut a, mut b) = (p, p);
            a[k] += h;
            b[k] -= h;
            distance(shape, a) - distance(shape, b)
        });
        let n = unit(camera.vector_to_camera(slope));
        for k in 0..3 {
            planes[k * area + pixel] = n[k];
        }
        planes[3 * area + pixel] = 1.0;
    }
    planes
}

/// How one generated view differs from the truth.
struct Corruption {
    /// Coefficients of low cosines: shift in pixels.
    warp: [[f32; 2]; 9],
    /// Coefficients of low cosines: rotation vector of the normals in radians.
    turn: [[f32; 3]; 9],
    blur_px: f32,
    noise: f32,
    /// Level of the mask, one half where it is right.
    level: f32,
    /// Holes and flecks: middle and radius in pixels, and the coverage there.
    flecks: Vec<([f32; 2], f32, f32)>,
}

/// Largest warp in pixels of a 320-pixel view.
const MAX_WARP: f32 = 6.0;
/// Largest rotation of normals in degrees.
const MAX_TURN_DEGREES: f32 = 10.0;

impl Corruption {
    fn random(dice: &mut Dice, strength: f32, size_px: usize) -> Self {
        let size = size_px as f32;
        let mut warp: [[f32; 2]; 9] = std::array::from_fn(|_| std::array::from_fn(|_| dice.normal()));
        let mut turn: [[f32; 3]; 9] = std::array::from_fn(|_| std::array::from_fn(|_| dice.normal()));
        // The sum of the coefficients bounds the field.
        let bound =
            |rows: &[Vec<f32>]| rows.iter().map(|row| row.iter().map(|x| x * x).sum::<f32>().sqrt()).sum::<f32>();
        let warp_bound = bound(&warp.iter().map(|row| row.to_vec()).collect::<Vec<_>>());
        let turn_bound = bound(&turn.iter().map(|row| row.to_vec()).collect::<Vec<_>>());
        let warp_px = strength * dice.between(0.3, 1.0) * MAX_WARP * size / 320.0;
        let turn_radians = strength * dice.between(0.3, 1.0) * MAX_TURN_DEGREES.to_radians();
        for row in &mut warp {
            *row = row.map(|x| x * warp_px / warp_bound);
        }
        for row in &mut turn {
            *row = row.map(|x| x * turn_radians / turn_bound);
        }
        let flecks = if dice.chance(0.5 * strength) { dice.count(1, 4) } else { 0 };
        Self {
            warp,
            turn,
            blur_px: strength * dice.between(0.0, 2.5) * size / 128.0,
            noise: strength * dice.between(0.0, 0.08),
            level: 0.5 + strength * dice.between(-0.3, 0.3),
            flecks: (0..flecks)
                .map(|_| {
                    let at = [dice.between(0.2, 0.8) * size, dice.between(0.2, 0.8) * size];
                    (at, dice.between(0.01, 0.05) * size, f32::from(dice.chance(0.5)))
                })
                .collect(),
        }
    }

    fn apply(&self, view: &[f32], size_px: usize, dice: &mut Dice) -> Vec<f32> {
        let area = size_px * size_px;
        let blurred = blur(view, size_px, self.blur_px);
        let mut planes = vec![0.0; VIEW_CHANNELS * area];
        for pixel in 0..area {
            let (x, y) = ((pixel % size_px) as f32 + 0.5, (pixel / size_px) as f32 + 0.5);
            let waves = waves(x / size_px as f32, y / size_px as f32);
            let field = |coefficient: &dyn Fn(usize) -> f32| (0..9).map(|k| waves[k] * coefficient(k)).sum::<f32>();
            let (u, v) = (x + field(&|k| self.warp[k][0]), y + field(&|k| self.warp[k][1]));
            let seen: [f32; VIEW_CHANNELS] =
                std::array::from_fn(|channel| bilinear(&blurred[channel * area..(channel + 1) * area], size_px, u, v));
            let mut coverage = seen[3];
            for (center, radius, value) in &self.flecks {
                if (x - center[0]).hypot(y - center[1]) < *radius {
                    coverage = *value;
                }
            }
            // A soft step at the shifted level.
            let coverage = (0.5 + (coverage - self.level) * 4.0).clamp(0.0, 1.0);
            planes[3 * area + pixel] = coverage;
            if coverage <= 0.0 {
                continue;
            }
            let w: Vec3 = std::array::from_fn(|c| field(&|k| self.turn[k][c]));
            let n = rotated(unit([seen[0], seen[1], seen[2]]), w);
            let n = unit(std::array::from_fn(|k| n[k] + self.noise * dice.normal()));
            for k in 0..3 {
                planes[k * area + pixel] = n[k];
            }
        }
        planes
    }
}

/// cos(pi p x) cos(pi q y) for p, q in 0..3.
fn waves(x: f32, y: f32) -> [f32; 9] {
    let wave = |order: usize, at: f32| (std::f32::consts::PI * order as f32 * at).cos();
    std::array::from_fn(|k| wave(k % 3, x) * wave(k / 3, y))
}

/// Rotation of `n` by the vector `w` (Rodrigues).
fn rotated(n: Vec3, w: Vec3) -> Vec3 {
    let angle = (w[0] * w[0] + w[1] * w[1] + w[2] * w[2]).sqrt();
    if angle < 1e-9 {
        return n;
    }
    let a = w.map(|x| x / angle);
    let (sin, cos) = angle.sin_cos();
    let cross = [a[1] * n[2] - a[2] * n[1], a[2] * n[0] - a[0] * n[2], a[0] * n[1] - a[1] * n[0]];
    let along = a[0] * n[0] + a[1] * n[1] + a[2] * n[2];
    std::array::from_fn(|k| n[k] * cos + cross[k] * sin + a[k] * along * (1.0 - cos))
}

fn unit(a: Vec3) -> Vec3 {
    let length = (a[0] * a[0] + a[1] * a[1] + a[2] * a[2]).sqrt();
    if length > 1e-9 { a.map(|x| x / length) } else { [0.0, 0.0, 1.0] }
}

fn bilinear(plane: &[f32], size: usize, x: f32, y: f32) -> f32 {
    let last = (size - 1) as f32;
    let (u, v) = ((x - 0.5).clamp(0.0, last), (y - 0.5).clamp(0.0, last));
    let (column, row) = ((u as usize).min(size - 2), (v as usize).min(size - 2));
    let (fx, fy) = (u - column as f32, v - row as f32);
    let at = row * size + column;
    let near = plane[at] + fx * (plane[at + 1] - plane[at]);
    let far = plane[at + size] + fx * (plane[at + size + 1] - plane[at + size]);
    near + fy * (far - near)
}

/// Gaussian blur of every plane, normalised at the borders.
fn blur(view: &[f32], size: usize, sigma: f32) -> Vec<f32> {
    if sigma < 0.2 {
        return view.to_vec();
    }
    let radius = (2.5 * sigma).ceil() as usize;
    let weights: Vec<f32> = (0..=radius).map(|k| (-0.5 * (k as f32 / sigma).powi(2)).exp()).collect();
    let pass = |source: &[f32], stride: usize, other: usize| {
        let mut result = vec![0.0; source.len()];
        for line in 0..source.len() / size {
            let start = line / size * size * size + line % size * other;
            for k in 0..size {
                let (mut sum, mut total) = (0.0, 0.0);
                for j in k.saturating_sub(radius)..(k + radius + 1).min(size) {
                    sum += weights[k.abs_diff(j)] * source[start + j * stride];
                    total += weights[k.abs_diff(j)];
                }
                result[start + k * stride] = sum / total;
            }
        }
        result
    };
    pass(&pass(view, 1, size), size, 1)
}

#[cfg(test)]
mod tests {
    use super::super::cubes::{Kind, shape_of_kind};
    use super::*;

    #[test]
    fn views_show_the_shape_and_their_spoilt_copies_stay_near() {
        let size_px = 64;
        let area = size_px * size_px;
        for index in 0..3 {
            assert_eq!(views_sample(4, index, 32, 16), views_sample(4, index, 32, 16));
            let shape = shape_of_kind(4, index, 48, Kind::Random);
            let clean = views_of(&shape, size_px);
            let spoilt = spoilt(&clean, size_px, &mut Dice::new(4, &format!("views sample {index}")));
            let sample = ViewsSample { shape, clean, spoilt, size_px };
            for (number, camera) in Camera::six_views(size_px).iter().enumerate() {
                let view = |planes: &[f32], channel: usize, pixel: usize| {
                    planes[(number * VIEW_CHANNELS + channel) * area + pixel]
                };
                // The mask is set wherever more than a pixel of the shape is behind.
                let mut missing = 0;
                let size = sample.shape.size;
                for (k, _) in sample.shape.values.iter().enumerate().filter(|(_, value)| **value < -0.02) {
                    let at = [k % size, k / size % size, k / size / size];
                    let ([x, y], _) = camera.project(at.map(|i| (i as f32 + 0.5) / size as f32 - 0.5));
                    let inside = x >= 0.0 && y >= 0.0 && x < size_px as f32 && y < size_px as f32;
                    assert!(inside, "the shape leaves the frame");
                    missing += usize::from(view(&sample.clean, 3, y as usize * size_px + x as usize) < 0.5);
                }
                assert_eq!(missing, 0);
                let (mut both, mut either, mut angle) = (0, 0, 0.0f32);
                for pixel in 0..area {
                    let (a, b) = (view(&sample.clean, 3, pixel) > 0.5, view(&sample.spoilt, 3, pixel) > 0.5);
                    either += usize::from(a || b);
                    if a && b {
                        both += 1;
                        let cosine: f32 =
                            (0..3).map(|k| view(&sample.clean, k, pixel) * view(&sample.spoilt, k, pixel)).sum();
                        angle += cosine.clamp(-1.0, 1.0).acos();
                        assert!(view(&sample.clean, 2, pixel) > -0.3, "a visible surface faces the camera");
                    }
                }
                assert!(both * 100 > either * 70, "{both} of {either}");
                assert!(angle / (both as f32) < 0.5);
            }
        }
    }
}
