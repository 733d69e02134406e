//! Outlines made solid: stars, gears, hearts, letters, leaves, frames and arches.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::dice::Dice;
use super::primitives::{Outline, Primitive, polygon_distance, smooth_min};
use super::shape::Shape;
use super::vector::{times, turn};

/// A closed outline about one unit wide.
fn outline(dice: &mut Dice) -> Outline {
    match dice.below(6) {
        0 => {
            // Star or gear.
            let teeth = dice.count(3, 12);
            let inner = dice.between(0.15, 0.36);
            let square = dice.chance(0.4);
            let corners: Vec<_> = (0..teeth * 4)
                .map(|k| {
                    let outside = if square { k % 4 < 2 } else { k % 4 == 0 };
                    let radius = if outside { 0.45 } else { inner };
                    let (sin, cos) = (TAU * (k as f32 + 0.5) / (teeth * 4) as f32 + FRAC_PI_2).sin_cos();
                    [radius * cos, radius * sin]
                })
                .collect();
            Outline::polygon(&corners)
        }
        1 | 2 => {
            // A smooth wavy blot, mirrored: leaf, heart, cloud, guitar.
            let waves: Vec<[f32; 2]> =
                (1..6).map(|k| [dice.normal() * 0.16 / k as f32, dice.normal() * 0.16 / k as f32]).collect();
            let symmetric = dice.chance(0.6);
            let squash = dice.between(0.5, 1.0);
            let corners: Vec<_> = (0..96)
                .map(|k| {
                    let angle = TAU * k as f32 / 96.0;
                    let wave: f32 = waves
                        .iter()
                        .enumerate()
                        .map(|(n, a)| {
                            let phase = (n + 1) as f32 * angle;
                            a[0] * phase.cos() + if symmetric { 0.0 } else { a[1] * phase.sin() }
                        })
                        .sum();
                    let radius = (0.33 + wave).clamp(0.06, 0.48);
                    [radius * angle.sin() * squash, radius * angle.cos()]
                })
                .collect();
            Outline::polygon(&corners)
        }
        3 => {
            // Strokes: letters, digits, signs, tools seen flat.
            let grid: Vec<[f32; 2]> =
                (0..9).map(|k| [(k % 3) as f32 * 0.3 - 0.3, (k / 3) as f32 * 0.35 - 0.35]).collect();
            let mut at = dice.below(9);
            let mut strokes = Vec::new();
            for _ in 0..dice.count(2, 6) {
                let next = dice.below(9);
                if next != at {
                    strokes.push([grid[at], grid[next]]);
                }
                at = next;
            }
            strokes.push([grid[1], grid[7]]);
            let half = dice.between(0.04, 0.1);
            Outline::table([-0.42, -0.47], [0.42, 0.47], |p| {
                strokes.iter().map(|s| segment(p, s[0], s[1]) - half).fold(f32::MAX, f32::min)
            })
        }
        4 => {
            // Rounded polygon with concave corners: shields, houses, bones, arrows.
            let count = dice.count(3, 8);
            let symmetric = dice.chance(0.7);
            let mut right: Vec<[f32; 2]> = (0..count)
                .map(|k| {
                    let height = 0.45 - 0.9 * k as f32 / (count - 1) as f32;
                    [dice.between(0.05, 0.42), height + dice.between(-0.05, 0.05)]
                })
                .collect();
            let left: Vec<[f32; 2]> = right
                .iter()
                .rev()
                .map(|p| if symmetric { [-p[0], p[1]] } else { [-dice.between(0.05, 0.42), p[1]] })
                .collect();
            right.extend(left);
            let round = if dice.chance(0.5) { 0.0 } else { dice.between(0.01, 0.05) };
            Outline::table([-0.5, -0.55], [0.5, 0.55], |p| polygon_distance(&right, p) - round)
        }
        _ => {
            // A few discs and bars melted together.
            let mut discs: Vec<[f32; 3]> = vec![[0.0, 0.0, dice.between(0.1, 0.2)]];
            for _ in 0..dice.count(1, 5) {
                let host = discs[dice.below(discs.len())];
                let radius = dice.between(0.06, 0.16);
                let (sin, cos) = dice.between(0.0, TAU).sin_cos();
                let away = (host[2] + radius) * dice.between(0.6, 0.95);
                discs.push([host[0] + away * cos, host[1] + away * sin, radius]);
            }
            let melt = dice.between(0.02, 0.2);
            Outline::table([-1.0, -1.0], [1.0, 1.0], |p| {
                discs.iter().fold(f32::MAX, |all, d| smooth_min(all, (p[0] - d[0]).hypot(p[1] - d[1]) - d[2], melt))
            })
        }
    }
}

fn segment(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (e, w) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let along = ((w[0] * e[0] + w[1] * e[1]) / (e[0] * e[0] + e[1] * e[1]).max(1e-9)).clamp(0.0, 1.0);
    (w[0] - e[0] * along).hypot(w[1] - e[1] * along)
}

/// Standing, or lying flat.
fn posed(shape: Shape, dice: &mut Dice) -> Shape {
    if dice.chance(0.3) {
        let yaw = turn(1, dice.between(0.0, TAU));
        return shape.rotated(&times(&yaw, &turn(0, FRAC_PI_2)));
    }
    shape
}

/// Outlines pulled straight: signs, gears, letters, slabs, columns, sometimes twisted, with holes.
pub(super) fn extruded(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let half_depth = dice.log_between(0.025, 0.5);
    let twist = if dice.chance(0.12) { dice.between(-4.0, 4.0) } else { 0.0 };
    let soft = if dice.chance(0.6) { 0.0 } else { dice.between(0.01, 0.05) };
    let line = outline(dice);
    shape.add(Primitive::Extrusion { outline: line, half_depth, soft, twist });
    for _ in 0..if dice.chance(0.5) { 0 } else { dice.count(1, 3) } {
        let radius = dice.between(0.03, 0.12);
        let at = [dice.between(0.0, 0.25), dice.between(-0.3, 0.3), 0.0];
        shape
            .add(Primitive::Cone { half_height: 1.0, bottom: radius, top: radius, round: 0.0 })
            .turned(&turn(0, FRAC_PI_2))
            .at(at)
            .mirrored()
            .cut()
            .slot(1);
    }
    if dice.chance(0.25) {
        let line = outline(dice);
        shape.next_group();
        let half_depth = half_depth * dice.between(1.1, 1.6);
        shape.add(Primitive::Extrusion { outline: line, half_depth, soft: 0.0, twist: 0.0 }).slot(2);
    }
    if half_depth > 0.25 || twist != 0.0 {
        return shape.rotated(&turn(0, -FRAC_PI_2));
    }
    posed(shape, dice)
}

/// Outlines blown up like cushions: toys, pebbles, bags, gloves, cookies.
pub(super) fn cushion(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let half_depth = dice.between(0.06, 0.22);
    let line = outline(dice);
    let soft = dice.between(0.08, 0.3);
    let bumps: Vec<[f32; 3]> = (0..dice.count(0, 4))
        .map(|_| [dice.between(0.0, 0.3), dice.between(-0.3, 0.3), half_depth * dice.between(0.6, 1.0)])
        .filter(|at| line.distance([at[0], at[1]]) < -0.01 && line.distance([-at[0], at[1]]) < -0.01)
        .collect();
    shape.add(Primitive::Extrusion { outline: line, half_depth: half_depth + soft * 0.25, soft, twist: 0.0 });
    for at in bumps {
        let size = dice.between(0.03, 0.09);
        let slot = dice.count(1, 4);
        shape.add(Primitive::Ellipsoid([size, size, size * 0.7])).at(at).mirrored().blend(0.01).slot(slot);
    }
    posed(shape, dice)
}

/// Arches, gates, frames, windows, gravestones: rectangles with openings.
pub(super) fn arch(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let (wide, tall, deep) = (dice.between(0.2, 0.45), dice.between(0.25, 0.5), dice.log_between(0.03, 0.2));
    let domed = dice.chance(0.4);
    shape.add(Primitive::Box { half: [wide, tall, deep], round: 0.01 }).at([0.0, tall, 0.0]);
    if domed {
        shape
            .add(Primitive::Cone { half_height: deep, bottom: wide, top: wide, round: 0.01 })
            .turned(&turn(0, FRAC_PI_2))
            .at([0.0, tall * 2.0, 0.0]);
    }
    let frame = dice.between(0.04, 0.14);
    let open = wide - frame;
    if dice.chance(0.85) {
        let through = if dice.chance(0.75) { 1.0 } else { deep };
        let lift = if through < 1.0 { deep * 1.3 } else { 0.0 };
        let sill = if dice.chance(0.5) { 0.0 } else { frame };
        shape
            .add(Primitive::Box { half: [open, tall - frame * 0.5 - sill * 0.5, through], round: 0.0 })
            .at([0.0, tall + sill * 0.5 - frame * 0.5, lift])
            .cut()
            .slot(1);
        if domed || dice.chance(0.3) {
            let top = if domed { tall * 2.0 } else { tall * 2.0 - frame - open };
            shape
                .add(Primitive::Cone { half_height: through, bottom: open, top: open, round: 0.0 })
                .turned(&turn(0, FRAC_PI_2))
                .at([0.0, top, lift])
                .cut()
                .slot(1);
        }
        shape.next_group();
        for _ in 0..if dice.chance(0.5) { 0 } else { dice.count(1, 3) } {
            let bar = dice.between(0.012, 0.03);
            if dice.chance(0.5) {
                let x = dice.between(0.0, open);
                shape.add(Primitive::Box { half: [bar, tall, bar], round: 0.0 }).at([x, tall, 0.0]).mirrored().slot(2);
            } else {
                let y = dice.between(frame, tall * 2.0 - frame);
                shape.add(Primitive::Box { half: [wide, bar, bar], round: 0.0 }).at([0.0, y, 0.0]).slot(2);
            }
        }
    }
    if dice.chance(0.4) {
        shape.add(Primitive::Box { half: [wide * 1.15, 0.04, deep * 1.4], round: 0.01 }).slot(3);
    }
    if dice.chance(0.3) && !domed {
        shape
            .add(Primitive::Box { half: [wide * 1.15, 0.035, deep * 1.4], round: 0.01 })
            .at([0.0, tall * 2.0, 0.0])
            .slot(3);
    }
    shape
}
