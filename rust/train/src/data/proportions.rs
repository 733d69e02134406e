//! Other proportions of a real mesh: longer legs, a wider top, a shorter front. The meshes are few, and what a network learns of
//! them by heart helps it with no other.
//!
//! Heights are stretched and squeezed by a wave, widths and depths grow or shrink with height, depths have a wave too. Upright
//! and level things stay so, and what was symmetric between left and right is so afterwards.

use maquette_prior::shapes::{Dice, Vec3};

/// A smooth map of space, one to one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proportions {
    /// Waves of heights and of depths.
    heights: Wave,
    depths: Wave,
    /// Natural logarithm by which widths and depths shrink per unit of height.
    width_taper: f32,
    depth_taper: f32,
}

/// `x -> x + amplitude * sin(frequency * x + phase)`, rising everywhere.
#[derive(Clone, Copy, Debug)]
struct Wave {
    amplitude: f32,
    frequency: f32,
    phase: f32,
}

impl Wave {
    /// Largest change of the slope.
    const STEEPEST: f32 = 0.45;

    fn random(dice: &mut Dice) -> Self {
        let frequency = dice.log_between(3.0, 12.0);
        let amplitude = dice.between(0.0, Self::STEEPEST) / frequency;
        Self { amplitude, frequency, phase: dice.between(-std::f32::consts::PI, std::f32::consts::PI) }
    }

    fn at(self, x: f32) -> f32 {
        x + self.amplitude * (self.frequency * x + self.phase).sin()
    }

    fn slope(self, x: f32) -> f32 {
        1.0 + self.amplitude * self.frequency * (self.frequency * x + self.phase).cos()
    }

    fn inverse(self, y: f32) -> f32 {
        // Newton's steps: the slope is between 0.55 and 1.45.
        let mut x = y;
        for _ in 0..5 {
            x -= (self.at(x) - y) / self.slope(x);
        }
        x
    }
}

impl Proportions {
    /// Those of the mesh itself.
    pub(crate) const OWN: Self = {
        let flat = Wave { amplitude: 0.0, frequency: 1.0, phase: 0.0 };
        Self { heights: flat, depths: flat, width_taper: 0.0, depth_taper: 0.0 }
    };
    /// Largest factor by which [`Proportions::to_mesh`] carries points apart, within 0.6 of the origin.
    pub(crate) const MOST_APART: f32 = 2.3;
    /// Largest taper.
    const MOST_TAPER: f32 = 0.5;

    pub(crate) fn random(dice: &mut Dice) -> Self {
        let taper = |dice: &mut Dice| (0.3 * dice.normal()).clamp(-Self::MOST_TAPER, Self::MOST_TAPER);
        Self {
            heights: Wave::random(dice),
            depths: Wave::random(dice),
            width_taper: taper(dice),
            depth_taper: taper(dice),
        }
    }

    /// Where a point with these proportions is in the mesh.
    pub(crate) fn to_mesh(self, [x, y, z]: Vec3) -> Vec3 {
        [x * (self.width_taper * y).exp(), self.heights.at(y), self.depths.at(z * (self.depth_taper * y).exp())]
    }

    /// Where a point of the mesh comes to be.
    pub(crate) fn of_mesh(self, [x, y, z]: Vec3) -> Vec3 {
        let y = self.heights.inverse(y);
        [x * (-self.width_taper * y).exp(), y, self.depths.inverse(z) * (-self.depth_taper * y).exp()]
    }

    /// The normal, at a point with these proportions, of a surface with `normal` in the mesh; not of unit length.
    pub(crate) fn normal(self, [x, y, z]: Vec3, normal: Vec3) -> Vec3 {
        let (wide, deep) = ((self.width_taper * y).exp(), (self.depth_taper * y).exp());
        let depth = self.depths.slope(z * deep) * deep * normal[2];
        [
            wide * normal[0],
            self.heights.slope(y) * normal[1] + self.width_taper * x * wide * normal[0] + self.depth_taper * z * depth,
            depth,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_inverse_of_bounded_stretch_and_normals_their_gradients() {
        let mut dice = Dice::new(1, "proportions");
        let point = |dice: &mut Dice| -> Vec3 { std::array::from_fn(|_| dice.between(-0.5, 0.5)) };
        for _ in 0..200 {
            let proportions = Proportions::random(&mut dice);
            let (p, direction) = (point(&mut dice), dice.direction());
            let back = proportions.of_mesh(proportions.to_mesh(p));
            assert!((0..3).all(|k| (back[k] - p[k]).abs() < 1e-4), "{p:?} {back:?}");
            // The height above a plane of the mesh, and its gradient.
            let height = |p: Vec3| -> f32 {
                let q = proportions.to_mesh(p);
                (0..3).map(|k| direction[k] * q[k]).sum()
            };
            let gradient = proportions.normal(p, direction);
            for k in 0..3 {
                let (mut a, mut b) = (p, p);
                a[k] += 5e-3;
                b[k] -= 5e-3;
                assert!(((height(a) - height(b)) / 1e-2 - gradient[k]).abs() < 1e-2, "{proportions:?}");
            }
            let stretch = gradient.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!(stretch < Proportions::MOST_APART, "{stretch}");
        }
        assert_eq!(Proportions::OWN.to_mesh([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]);
    }
}
