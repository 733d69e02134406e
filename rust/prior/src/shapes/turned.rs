//! Things from the lathe and what is made of them: vases, bottles, cups, bowls, rings, stacked food.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::dice::Dice;
use super::primitives::{Outline, Primitive};
use super::shape::Shape;
use super::vector::{Mat3, times, turn};

/// A profile: radii at equal steps of height from 0 to `height`, by a smooth random walk.
fn profile(dice: &mut Dice, height: f32) -> Vec<[f32; 2]> {
    let knots = dice.count(3, 7);
    let radii: Vec<f32> = (0..knots).map(|_| dice.log_between(0.05, 0.3)).collect();
    let smooth = dice.chance(0.75);
    let steps = 24;
    (0..=steps)
        .map(|step| {
            let t = step as f32 / steps as f32 * (knots - 1) as f32;
            let k = (t as usize).min(knots - 2);
            let f = t - k as f32;
            let f = if smooth { f * f * (3.0 - 2.0 * f) } else { f32::from(f > 0.5) };
            [radii[k] + (radii[k + 1] - radii[k]) * f, height * step as f32 / steps as f32]
        })
        .collect()
}

/// The solid under a profile, reaching over the axis so that the turned solid has no seam there.
fn solid_outline(profile: &[[f32; 2]]) -> Outline {
    let mut corners = profile.to_vec();
    corners.push([-0.1, profile[profile.len() - 1][1]]);
    corners.push([-0.1, profile[0][1]]);
    Outline::polygon(&corners)
}

fn sides(dice: &mut Dice) -> usize {
    if dice.chance(0.25) { dice.count(4, 9) } else { 0 }
}

/// Vases, bottles, chess pieces, balusters, skittles.
pub(super) fn lathed(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let height = dice.between(0.3, 0.95);
    let sides = sides(dice);
    let line = profile(dice, height);
    shape.add(Primitive::Lathe { outline: solid_outline(&line), sides });
    if dice.chance(0.4) {
        let wall = dice.between(0.015, 0.05);
        let inner: Vec<_> = line.iter().map(|p| [(p[0] - wall).max(0.005), p[1]]).collect();
        let floor = height * dice.between(0.05, 0.3);
        let mut inner: Vec<_> = inner.into_iter().filter(|p| p[1] >= floor).collect();
        if let Some(last) = inner.last().copied() {
            inner.push([last[0], height * 1.1]);
            shape.add(Primitive::Lathe { outline: solid_outline(&inner), sides }).cut().slot(1);
        }
    }
    for _ in 0..dice.count(0, 3) {
        let p = line[dice.below(line.len())];
        let minor = dice.between(0.01, 0.03);
        shape.add(Primitive::Ring { major: p[0], minor, half_angle: 4.0 }).at([0.0, p[1], 0.0]).blend(0.01).slot(2);
    }
    if dice.chance(0.35) {
        handle(&mut shape, dice, &line, 3);
    }
    if dice.chance(0.15) {
        let p = line[line.len() - 1];
        let size = dice.between(0.03, 0.1);
        shape
            .add(Primitive::Ellipsoid([size, size * dice.between(0.7, 1.5), size]))
            .at([0.0, p[1] + size * 0.5, 0.0])
            .slot(2);
    }
    tilt(shape, dice)
}

/// One or two handles outside of a profile.
fn handle(shape: &mut Shape, dice: &mut Dice, line: &[[f32; 2]], slot: usize) {
    let middle = line[line.len() * 11 / 20];
    let height = line[line.len() - 1][1];
    let major = (height * dice.between(0.18, 0.33)).min(0.25);
    let minor = dice.between(0.015, 0.04);
    let both = dice.chance(0.3);
    let yaw = turn(1, if both { 0.0 } else { dice.between(0.0, TAU) });
    let at = super::vector::apply(&yaw, [middle[0] + major * dice.between(0.0, 0.5), middle[1], 0.0]);
    shape.next_group();
    let ring = shape.add(Primitive::Ring { major, minor, half_angle: dice.between(1.5, 2.2) });
    ring.turned(&times(&yaw, &turn(0, FRAC_PI_2))).at(at).slot(slot);
    if both {
        ring.mirrored();
    }
}

/// Most stand; a few lie.
fn tilt(shape: Shape, dice: &mut Dice) -> Shape {
    if dice.chance(0.12) {
        let lying: Mat3 = times(&turn(1, dice.between(0.0, TAU)), &turn(0, FRAC_PI_2));
        return shape.rotated(&lying);
    }
    shape
}

/// Cups, mugs, bowls, pots, buckets, glasses, pans: open at the top.
pub(super) fn vessel(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let height = dice.log_between(0.12, 0.7);
    let (top, bottom) = (dice.between(0.15, 0.4), dice.between(0.1, 0.35));
    let belly = dice.between(-0.05, 0.12);
    let wall = dice.between(0.015, 0.05);
    let sides = if dice.chance(0.15) { 4 } else { sides(dice) };
    let steps = 16;
    let line: Vec<[f32; 2]> = (0..=steps)
        .map(|step| {
            let t = step as f32 / steps as f32;
            [(bottom + (top - bottom) * t + belly * (t * std::f32::consts::PI).sin()).max(0.06), height * t]
        })
        .collect();
    shape.add(Primitive::Lathe { outline: solid_outline(&line), sides });
    if dice.chance(0.6) {
        handle(&mut shape, dice, &line, 1);
        // The handle joins the body again, so that the hollow also cuts it.
        shape.join_groups();
    }
    let fill = dice.between(0.0, 0.9);
    let floor = (wall + (height - wall) * if dice.chance(0.5) { 0.0 } else { fill }).min(height * 0.92);
    let mut inner: Vec<[f32; 2]> = vec![[(bottom - wall).max(0.02), floor]];
    inner.extend(line.iter().filter(|p| p[1] > floor).map(|p| [(p[0] - wall).max(0.02), p[1]]));
    let rim = inner[inner.len() - 1][0];
    inner[0][0] = inner[1.min(inner.len() - 1)][0];
    inner.push([rim, height + 0.1]);
    shape.add(Primitive::Lathe { outline: solid_outline(&inner), sides }).cut().slot(2);
    if dice.chance(0.2) {
        // A pan's or ladle's long handle.
        let long = dice.between(0.2, 0.5);
        shape.next_group();
        shape
            .add(Primitive::Limb {
                from: [0.0, height * 0.9, -top + wall],
                to: [0.0, height * 0.95, -top - long],
                from_radius: 0.025,
                to_radius: 0.03,
            })
            .slot(1);
    }
    if dice.chance(0.15) {
        shape.next_group();
        let hoop = turn(0, dice.between(0.0, 1.0));
        shape
            .add(Primitive::Ring { major: top, minor: 0.015, half_angle: FRAC_PI_2 })
            .turned(&times(&hoop, &turn(2, FRAC_PI_2)))
            .turned(&super::vector::IDENTITY)
            .at([0.0, height, 0.0])
            .slot(3);
    }
    if dice.chance(0.3) {
        // What lies in it, or its lid.
        shape.next_group();
        let dome = top * dice.between(0.85, 1.02);
        shape
            .add(Primitive::Ellipsoid([dome, dome * dice.between(0.2, 0.6), dome]))
            .at([0.0, height * 0.95, 0.0])
            .slot(4);
        if dice.chance(0.5) {
            shape.add(Primitive::Ellipsoid([0.04, 0.04, 0.04])).at([0.0, height * 0.95 + dome * 0.5, 0.0]).slot(3);
        }
    }
    shape
}

/// Rings, tyres, doughnuts, bracelets, horseshoes, chain links.
pub(super) fn ring(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let major = 0.3;
    let minor = dice.log_between(0.03, 0.16);
    let arc = if dice.chance(0.75) { 4.0 } else { dice.between(1.2, 2.6) };
    if dice.chance(0.3) {
        let half = [minor, dice.between(0.3, 2.5) * minor];
        let outline = Outline::polygon(&[
            [major - half[0], -half[1]],
            [major + half[0], -half[1]],
            [major + half[0], half[1]],
            [major - half[0], half[1]],
        ]);
        let flat = sides(dice);
        shape.add(Primitive::Lathe { outline, sides: flat });
    } else {
        shape.add(Primitive::Ring { major, minor, half_angle: arc });
    }
    match dice.below(4) {
        0 => {
            // Spokes and a hub.
            let spokes = dice.count(3, 8);
            for spoke in 0..spokes {
                let (sin, cos) = (TAU * spoke as f32 / spokes as f32).sin_cos();
                shape
                    .add(Primitive::Limb {
                        from: [0.0; 3],
                        to: [major * cos, 0.0, major * sin],
                        from_radius: 0.025,
                        to_radius: 0.02,
                    })
                    .slot(1);
            }
            shape.add(Primitive::Cone { half_height: minor.max(0.05), bottom: 0.08, top: 0.08, round: 0.01 }).slot(2);
        }
        1 => {
            // Beads or a gem.
            let beads = if dice.chance(0.5) { 1 } else { dice.count(4, 12) };
            let size = dice.between(0.05, 0.12);
            for bead in 0..beads {
                let (sin, cos) = (TAU * bead as f32 / beads as f32).sin_cos();
                shape.add(Primitive::Ellipsoid([size; 3])).at([major * cos, 0.0, major * sin]).slot(1);
            }
        }
        _ => {}
    }
    let standing = dice.chance(0.6);
    let lean = if standing { turn(0, FRAC_PI_2) } else { turn(0, dice.between(-0.2, 0.2)) };
    let rotation = times(&turn(1, dice.between(-0.5, 0.5)), &lean);
    shape.rotated(&rotation)
}

/// Burgers, cakes, stacks of coins, candles, barrels with hoops: turned slices above each other.
pub(super) fn stack(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let mut height = 0.0;
    let base = dice.between(0.15, 0.38);
    for slice in 0..dice.count(2, 7) {
        let radius = base * dice.between(0.6, 1.1);
        let half = dice.log_between(0.02, 0.16);
        height += half * 0.95;
        let primitive = match dice.below(4) {
            0 => Primitive::Ellipsoid([radius, half, radius]),
            1 => Primitive::Box { half: [radius * 0.8, half, radius * 0.8], round: half * 0.3 },
            _ => Primitive::Cone {
                half_height: half,
                bottom: radius,
                top: radius * dice.between(0.6, 1.05),
                round: half * dice.between(0.05, 0.9),
            },
        };
        shape.add(primitive).at([dice.between(-0.02, 0.02), height, dice.between(-0.02, 0.02)]).slot(slice % 6);
        height += half * 0.95;
    }
    let toppings = if dice.chance(0.5) { 0 } else { dice.count(1, 8) };
    for topping in 0..toppings {
        let (sin, cos) = (TAU * topping as f32 / toppings as f32).sin_cos();
        let away = if toppings == 1 { 0.0 } else { base * 0.6 };
        let size = dice.between(0.02, 0.05);
        shape
            .add(Primitive::Ellipsoid([size, size * dice.between(0.8, 3.0), size]))
            .at([away * cos, height, away * sin])
            .slot(6);
    }
    shape
}
