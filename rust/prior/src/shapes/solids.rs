//! Plain solids: blobs, superquadrics, rocks, machined blocks.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::dice::Dice;
use super::primitives::Primitive;
use super::shape::{Ripples, Shape};
use super::vector::{Mat3, Vec3, scale, times, turn};

/// Any rotation, or one of few about the vertical.
pub(super) fn any_turn(dice: &mut Dice) -> Mat3 {
    let about_y = turn(1, dice.between(0.0, TAU));
    times(&about_y, &times(&turn(0, dice.between(0.0, TAU)), &turn(2, dice.between(0.0, TAU))))
}

/// Faint ripples, sometimes.
pub(super) fn ripples(dice: &mut Dice, share: f32, amplitude: f32) -> Option<Ripples> {
    dice.chance(share).then(|| Ripples {
        amplitude: dice.between(0.3, 1.0) * amplitude,
        frequency: std::array::from_fn(|_| dice.between(6.0, 18.0)),
        phase: std::array::from_fn(|_| dice.between(0.0, TAU)),
    })
}

fn simple(dice: &mut Dice, size: f32) -> Primitive {
    let half: Vec3 = std::array::from_fn(|_| size * dice.log_between(0.35, 1.3));
    let least = half[0].min(half[1]).min(half[2]);
    match dice.below(6) {
        0 | 1 => Primitive::Ellipsoid(half),
        2 => Primitive::Box { half, round: least * dice.between(0.02, 0.7) },
        3 => Primitive::Limb {
            from: [0.0, -half[1], 0.0],
            to: [0.0, half[1], 0.0],
            from_radius: half[0] * 0.7,
            to_radius: half[0] * dice.between(0.2, 0.9),
        },
        4 => Primitive::Cone {
            half_height: half[1],
            bottom: half[0],
            top: half[0] * dice.between(0.2, 1.0),
            round: least * 0.1,
        },
        _ => Primitive::Ring { major: half[0], minor: half[0] * dice.between(0.15, 0.45), half_angle: 4.0 },
    }
}

/// Smooth unions of simple solids, most of them the same on both sides, some with bites taken out.
pub(super) fn blobs(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let symmetric = dice.chance(0.7);
    let blend = if dice.chance(0.25) { 0.0 } else { dice.between(0.02, 0.2) };
    let count = dice.count(2, 9);
    let mut tip = [0.0; 3];
    for index in 0..count {
        let size = if index == 0 { 0.32 } else { dice.log_between(0.07, 0.26) };
        let primitive = simple(dice, size);
        let step = scale(dice.direction(), dice.between(0.1, 0.22));
        if index > 0 && dice.chance(0.6) {
            tip = [0.0; 3];
        }
        if index > 0 {
            tip = std::array::from_fn(|k| tip[k] + step[k]);
        }
        let rotation = if dice.chance(0.5) { any_turn(dice) } else { super::vector::IDENTITY };
        let slot = dice.below(4);
        let part = shape.add(primitive);
        part.turned(&rotation).at(if symmetric { [tip[0].abs(), tip[1], tip[2]] } else { tip }).blend(blend).slot(slot);
        if symmetric {
            part.mirrored();
        }
    }
    if dice.chance(0.2) {
        let bite = simple(dice, 0.15);
        let at = scale(dice.direction(), 0.3);
        shape.add(bite).at(at).cut().blend(blend * 0.5).slot(4);
    }
    shape.ripples = ripples(dice, 0.15, 0.015);
    shape
}

/// One to five superquadrics above or beside each other.
pub(super) fn superquadrics(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let upright = dice.chance(0.7);
    let blend = if dice.chance(0.5) { 0.0 } else { dice.between(0.01, 0.1) };
    let mut height = 0.0;
    for index in 0..dice.count(1, 5) {
        let half: Vec3 = std::array::from_fn(|_| dice.log_between(0.08, 0.4));
        let half = if dice.chance(0.5) { [half[0], half[1], half[0]] } else { half };
        let exponents = [dice.log_between(0.15, 1.5), dice.log_between(0.15, 1.5)];
        height += half[1] * 0.9;
        let at = if upright {
            [0.0, height, 0.0]
        } else if index == 0 {
            [0.0; 3]
        } else {
            scale(dice.direction(), 0.3)
        };
        height += half[1] * 0.9;
        let slot = dice.below(4);
        let part = shape.add(Primitive::Superquadric { half, exponents });
        part.at(at).blend(blend).slot(slot);
        if !upright {
            part.mirrored();
        }
    }
    shape
}

/// Stones and crystals: half spaces in common, alone or in heaps.
pub(super) fn rock(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let crystal = dice.chance(0.35);
    for index in 0..if dice.chance(0.5) { 1 } else { dice.count(2, 6) } {
        let size = if index == 0 { 0.4 } else { dice.between(0.12, 0.35) };
        let mut planes = Vec::new();
        if crystal {
            let sides = dice.count(4, 7);
            for side in 0..sides {
                let (sin, cos) = (TAU * side as f32 / sides as f32).sin_cos();
                planes.push([cos, 0.0, sin, size * 0.3]);
                let tilt = dice.between(0.5, 0.9);
                planes.push([cos * tilt, (1.0 - tilt * tilt).sqrt(), sin * tilt, size * dice.between(0.55, 0.75)]);
            }
            planes.push([0.0, -1.0, 0.0, size * 0.4]);
        } else {
            for axis in 0..3 {
                for sign in [1.0, -1.0] {
                    let mut plane = [0.0, 0.0, 0.0, size * dice.between(0.55, 1.1)];
                    plane[axis] = sign;
                    planes.push(plane);
                }
            }
            for _ in 0..dice.count(5, 14) {
                let n = dice.direction();
                planes.push([n[0], n[1], n[2], size * dice.between(0.6, 1.0)]);
            }
        }
        let lean = if crystal { dice.between(-0.5, 0.5) } else { 0.0 };
        let away = if index == 0 { 0.0 } else { dice.between(0.15, 0.5) };
        let (sin, cos) = dice.between(0.0, TAU).sin_cos();
        let turned = turn(1, dice.between(0.0, TAU));
        shape
            .add(Primitive::Convex(planes))
            .turned(&times(&turn(2, lean), &turned))
            .at([away * cos, (size - 0.4) * 0.6, away * sin])
            .blend(if crystal { 0.0 } else { 0.03 })
            .slot(index % 2);
    }
    shape.ripples = ripples(dice, 0.3, 0.02);
    shape
}

/// Machined parts: boxes and cylinders with holes, pockets and bosses.
pub(super) fn block(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let half = [dice.between(0.15, 0.45), dice.between(0.05, 0.35), dice.between(0.15, 0.45)];
    let round = if dice.chance(0.5) { 0.005 } else { dice.between(0.01, 0.08_f32.min(half[1])) };
    if dice.chance(0.7) {
        shape.add(Primitive::Box { half, round });
    } else {
        shape.add(Primitive::Cone { half_height: half[1], bottom: half[0], top: half[0], round: round.min(0.04) });
    }
    let axes = [super::vector::IDENTITY, turn(0, FRAC_PI_2), turn(2, FRAC_PI_2)];
    for _ in 0..dice.count(0, 3) {
        let size = dice.between(0.08, 0.25);
        let at =
            [dice.between(-1.0, 1.0) * half[0], half[1] * dice.between(0.0, 1.2), dice.between(-1.0, 1.0) * half[2]];
        let boss = if dice.chance(0.5) {
            Primitive::Cone { half_height: size, bottom: size * 0.7, top: size * 0.7, round: 0.005 }
        } else {
            Primitive::Box { half: [size, size * dice.between(0.4, 1.2), size * 0.7], round: 0.01 }
        };
        let (symmetric, axis) = (dice.chance(0.5), axes[dice.below(3)]);
        let part = shape.add(boss);
        part.turned(&axis).at(at).slot(1);
        if symmetric {
            part.mirrored();
        }
    }
    for _ in 0..dice.count(0, 4) {
        let radius = dice.between(0.03, 0.16);
        let at = [dice.between(-0.7, 0.7) * half[0], 0.0, dice.between(-0.7, 0.7) * half[2]];
        let deep = if dice.chance(0.6) { 1.5 } else { dice.between(0.1, 0.6) };
        let hole = if dice.chance(0.7) {
            Primitive::Cone { half_height: deep, bottom: radius, top: radius, round: 0.0 }
        } else {
            Primitive::Box { half: [radius, deep, radius * dice.between(0.7, 2.0)], round: 0.005 }
        };
        let (symmetric, axis) = (dice.chance(0.5), axes[dice.below(3)]);
        let lift = if deep > 1.0 { 0.0 } else { half[1] };
        let part = shape.add(hole);
        part.turned(&axis).at([at[0], lift, at[2]]).cut().slot(2);
        if symmetric {
            part.mirrored();
        }
    }
    shape
}
