//! How an object stands and how the camera frames it.

use std::f32::consts::{FRAC_PI_2, PI};

use maquette_prior::frustum::{Frustum, TIGHT_DEPTH, TIGHT_DISTANCE, TIGHT_SHARE};
use maquette_prior::shapes::{Dice, Mat3, Vec3, apply, times, turn};

/// The canonical radius of an object.
const CANONICAL_RADIUS: f32 = 0.48;

/// Where a shape stands in the world: `shape = shape_from_world * (world - offset)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) shape_from_world: Mat3,
    pub(crate) world_from_shape: Mat3,
    pub(crate) offset: Vec3,
}

impl Placement {
    pub(crate) fn to_shape(self, world: Vec3) -> Vec3 {
        apply(&self.shape_from_world, std::array::from_fn(|k| world[k] - self.offset[k]))
    }

    pub(crate) fn to_world(self, shape: Vec3) -> Vec3 {
        let p = apply(&self.world_from_shape, shape);
        std::array::from_fn(|k| p[k] + self.offset[k])
    }

    /// World normal of a gradient in shape space.
    pub(crate) fn normal(self, gradient: Vec3) -> Vec3 {
        let m = &self.shape_from_world;
        let n: Vec3 = std::array::from_fn(|k| m[0][k] * gradient[0] + m[1][k] * gradient[1] + m[2][k] * gradient[2]);
        let length = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]).sqrt().max(1e-12);
        n.map(|x| x / length)
    }
}

/// A random linear map with its inverse: stretch, mirror, lean, yaw.
pub(crate) fn pose(dice: &mut Dice) -> [Mat3; 2] {
    let stretch: Vec3 = std::array::from_fn(|_| (0.12 * dice.normal()).exp());
    let mirror = dice.sign();
    let (pitch, roll) = if dice.chance(0.3) {
        (dice.between(-5.0, 5.0).to_radians(), dice.between(-5.0, 5.0).to_radians())
    } else {
        (0.0, 0.0)
    };
    let yaw = yaw(dice);
    linear(
        &times(&turn(1, yaw), &times(&turn(0, pitch), &turn(2, roll))),
        [mirror * stretch[0], stretch[1], stretch[2]],
    )
}

/// How far a thing is turned from facing the camera, in radians: nearly half of all do face it, as in most pictures that are
/// made to show a thing.
pub(crate) fn yaw(dice: &mut Dice) -> f32 {
    match dice.below(20) {
        0..6 => 0.0,
        6..9 => dice.between(-5.0, 5.0).to_radians(),
        9..11 => FRAC_PI_2 * dice.below(4) as f32 + dice.between(-5.0, 5.0).to_radians(),
        11..15 => dice.between(-60.0, 60.0).to_radians(),
        _ => dice.between(-PI, PI),
    }
}

/// `rotation * diagonal(stretch)` and its inverse.
pub(crate) fn linear(rotation: &Mat3, stretch: Vec3) -> [Mat3; 2] {
    let forward = std::array::from_fn(|i| std::array::from_fn(|j| rotation[i][j] * stretch[j]));
    let back = std::array::from_fn(|i| std::array::from_fn(|j| rotation[j][i] / stretch[i]));
    [forward, back]
}

/// Places a shape with surface `points` under the linear map in the world and in front of a camera.
///
/// Canonical: bounding box centred, farthest point at 0.48, the rig's camera. Tight: as the segment stage crops, with a
/// random distance of the camera, since photographs come from any.
pub(crate) fn place(
    points: &[Vec3],
    [world_from_shape, shape_from_world]: &[Mat3; 2],
    elevation_degrees: f32,
    tight: bool,
    dice: &mut Dice,
) -> (Placement, Frustum) {
    let exact = dice.chance(0.7);
    let jitter = if exact || tight { 1.0 } else { dice.between(0.9, 1.02) };
    let shift: Vec3 = if exact { [0.0; 3] } else { std::array::from_fn(|_| 0.01 * dice.normal()) };
    let mut placement = canonical(points, &[*world_from_shape, *shape_from_world], jitter);
    placement.offset = std::array::from_fn(|k| placement.offset[k] + shift[k]);
    if !tight {
        return (placement, Frustum::canonical(elevation_degrees));
    }
    let ratio = TIGHT_DISTANCE * dice.between(-0.35, 0.4).exp();
    let share = if exact { TIGHT_SHARE } else { TIGHT_SHARE * dice.between(0.92, 1.04) };
    let off = if exact { [0.0; 2] } else { [0.015 * dice.normal(), 0.015 * dice.normal()] };
    let (sin, cos) = elevation_degrees.to_radians().sin_cos();
    let (right, up, behind) = ([1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, -sin, -cos]);
    let along = |p: Vec3, axis: Vec3| p[0] * axis[0] + p[1] * axis[1] + p[2] * axis[2];
    let world: Vec<Vec3> = points.iter().map(|p| placement.to_world(*p)).collect();
    let mut frustum =
        Frustum { width: 1.0, distance: ratio, depth: TIGHT_DEPTH, ..Frustum::canonical(elevation_degrees) };
    for _ in 0..4 {
        let seen = world.iter().map(|p| {
            let q: Vec3 = std::array::from_fn(|k| p[k] - frustum.center[k]);
            let depth = along(q, behind);
            let spread = (1.0 + depth / frustum.distance).max(0.1);
            [along(q, right) / spread, along(q, up) / spread, depth]
        });
        let (low, high) = bounds(seen);
        let middle: Vec3 = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
        for k in 0..3 {
            frustum.center[k] += middle[0] * right[k] + middle[1] * up[k] + middle[2] * behind[k];
        }
        frustum.width = ((high[0] - low[0]).max(high[1] - low[1]) / share).max(0.02);
        frustum.distance = ratio * frustum.width;
        frustum.depth = TIGHT_DEPTH * frustum.width;
    }
    for k in 0..3 {
        frustum.center[k] += frustum.width * (off[0] * right[k] + off[1] * up[k]);
    }
    (placement, frustum)
}

/// Bounding box centred, farthest point at 0.48 times `size`.
pub(crate) fn canonical(points: &[Vec3], [world_from_shape, shape_from_world]: &[Mat3; 2], size: f32) -> Placement {
    let turned: Vec<Vec3> = points.iter().map(|p| apply(world_from_shape, *p)).collect();
    let (low, high) = bounds(turned.iter().copied());
    let center: Vec3 = std::array::from_fn(|k| f32::midpoint(low[k], high[k]));
    let radius =
        turned.iter().map(|p| (0..3).map(|k| (p[k] - center[k]).powi(2)).sum::<f32>()).fold(1e-12, f32::max).sqrt();
    let scale = size * CANONICAL_RADIUS / radius;
    Placement {
        shape_from_world: shape_from_world.map(|row| row.map(|x| x / scale)),
        world_from_shape: world_from_shape.map(|row| row.map(|x| x * scale)),
        offset: center.map(|x| -x * scale),
    }
}

pub(crate) fn bounds(points: impl Iterator<Item = Vec3>) -> (Vec3, Vec3) {
    let (mut low, mut high) = ([f32::MAX; 3], [f32::MIN; 3]);
    for p in points {
        for k in 0..3 {
            low[k] = low[k].min(p[k]);
            high[k] = high[k].max(p[k]);
        }
    }
    (low, high)
}
