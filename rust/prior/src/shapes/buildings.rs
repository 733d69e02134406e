//! Houses, towers, walls, stairs.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::dice::Dice;
use super::furniture::board;
use super::primitives::{Outline, Primitive};
use super::shape::Shape;
use super::vector::{Vec3, times, turn};

/// A gable roof along X (or Z where `across`) on a box of `half` width and depth, its eaves at `at`.
fn gable(shape: &mut Shape, half: [f32; 2], at: Vec3, rise: f32, eaves: f32, across: bool, slot: usize) {
    let (span, long) = if across { (half[0], half[1]) } else { (half[1], half[0]) };
    let outline = Outline::polygon(&[[-span - eaves, 0.0], [span + eaves, 0.0], [0.0, rise]]);
    let rotation = if across { super::vector::IDENTITY } else { turn(1, FRAC_PI_2) };
    shape
        .add(Primitive::Extrusion { outline, half_depth: long + eaves * 0.7, soft: 0.0, twist: 0.0 })
        .turned(&rotation)
        .at(at)
        .slot(slot);
}

/// Houses, huts, barns, churches, shops.
pub(super) fn house(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let half = [dice.between(0.15, 0.4), dice.between(0.15, 0.4)];
    let tall = dice.between(0.08, 0.3);
    let across = dice.chance(0.5);
    shape.add(board([half[0], tall, half[1]])).at([0.0, tall, 0.0]);
    let rise = dice.between(0.08, 0.35);
    let eaves = dice.between(0.0, 0.07);
    match dice.below(6) {
        0 => {
            shape.add(board([half[0] + eaves, 0.025, half[1] + eaves])).at([0.0, tall * 2.0, 0.0]).slot(1);
        }
        1 => {
            let size = half[0].max(half[1]) * 1.42 + eaves;
            let outline = Outline::polygon(&[[-0.1, 0.0], [size, 0.0], [0.01, rise], [-0.1, rise]]);
            let yaw = turn(1, TAU / 8.0);
            shape
                .add(Primitive::Lathe { outline, sides: 4 })
                .turned(&yaw)
                .turned(&turn(1, TAU / 8.0))
                .at([0.0, tall * 2.0, 0.0])
                .slot(1);
        }
        _ => gable(&mut shape, half, [0.0, tall * 2.0, 0.0], rise, eaves, across, 1),
    }
    if dice.chance(0.45) {
        // A wing.
        let wing = [half[0] * dice.between(0.35, 0.7), half[1] * dice.between(0.35, 0.7)];
        let at = [half[0] * dice.sign(), 0.0, half[1] * dice.between(-0.5, 0.7)];
        let low = tall * dice.between(0.5, 1.0);
        shape.add(board([wing[0], low, wing[1]])).at([at[0], low, at[2]]).slot(0);
        gable(&mut shape, wing, [at[0], low * 2.0, at[2]], rise * 0.6, eaves, !across, 1);
    }
    if dice.chance(0.5) {
        let size = dice.between(0.025, 0.05);
        shape
            .add(board([size, rise * 0.5, size]))
            .at([half[0] * dice.between(-0.6, 0.6), tall * 2.0 + rise * 0.7, half[1] * dice.between(-0.4, 0.4)])
            .slot(2);
    }
    // Doors and windows: boards on the faces, or hollows.
    let depth = dice.between(0.005, 0.02);
    let hollow = dice.chance(0.4);
    let door = [half[0] * dice.between(0.12, 0.25), tall * dice.between(0.5, 0.8)];
    let place = |shape: &mut Shape, size: [f32; 2], at: Vec3, slot: usize| {
        let part = shape.add(board([size[0], size[1], if hollow { depth * 2.0 } else { depth }]));
        part.at(at).slot(slot);
        if hollow {
            part.cut();
        }
    };
    place(&mut shape, door, [half[0] * dice.between(-0.3, 0.3), door[1], half[1]], 3);
    for k in 0..dice.count(0, 3) {
        let size = [half[0] * 0.13, tall * 0.25];
        let x = half[0] * (0.3 + 0.3 * k as f32) * if k % 2 == 0 { 1.0 } else { -1.0 };
        place(&mut shape, size, [x, tall * 1.2, half[1]], 4);
    }
    if dice.chance(0.5) {
        let part = shape.add(board([depth, tall * 0.25, half[1] * 0.2]));
        part.at([half[0], tall * 1.2, half[1] * dice.between(-0.4, 0.4)]).mirrored().slot(4);
        if hollow {
            part.cut();
        }
    }
    shape.next_group();
    if dice.chance(0.3) {
        shape.add(board([half[0] * 1.2, 0.02, half[1] * 1.3])).slot(5);
    }
    if dice.chance(0.25) {
        // A porch.
        let deep = half[1] * 0.35;
        shape.add(board([half[0] * 0.9, 0.015, deep])).at([0.0, tall * 1.6, half[1] + deep]).slot(1);
        shape
            .add(Primitive::Cone { half_height: tall * 0.8, bottom: 0.018, top: 0.018, round: 0.0 })
            .at([half[0] * 0.8, tall * 0.8, half[1] + deep * 1.8])
            .mirrored()
            .slot(2);
    }
    if dice.chance(0.2) {
        // A steeple.
        let (size, high) = (dice.between(0.06, 0.12), dice.between(0.3, 0.5));
        shape.add(board([size, high, size])).at([0.0, high, half[1] * 0.8]).slot(0);
        shape
            .add(Primitive::Cone { half_height: 0.12, bottom: size * 1.3, top: 0.005, round: 0.0 })
            .at([0.0, high * 2.0 + 0.12, half[1] * 0.8])
            .slot(1);
    }
    shape
}

/// Towers, castles, lighthouses, skyscrapers, windmills.
pub(super) fn tower(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let square = dice.chance(0.5);
    let mut y = 0.0;
    let mut size = dice.between(0.12, 0.28);
    let floors = dice.count(1, 4);
    for floor in 0..floors {
        let half = dice.between(0.08, 0.3);
        if square {
            shape.add(board([size, half, size * dice.between(0.7, 1.0)])).at([0.0, y + half, 0.0]).slot(floor % 3);
        } else {
            shape
                .add(Primitive::Cone {
                    half_height: half,
                    bottom: size,
                    top: size * dice.between(0.7, 1.0),
                    round: 0.0,
                })
                .at([0.0, y + half, 0.0])
                .slot(floor % 3);
        }
        y += half * 2.0;
        if dice.chance(0.4) {
            let ledge = size * dice.between(1.05, 1.25);
            let primitive = if square {
                board([ledge, 0.02, ledge])
            } else {
                Primitive::Cone { half_height: 0.02, bottom: ledge, top: ledge, round: 0.0 }
            };
            shape.add(primitive).at([0.0, y, 0.0]).slot(3);
        }
        size *= dice.between(0.55, 0.95);
    }
    let wide = size * dice.between(1.1, 1.5);
    match dice.below(4) {
        0 => {
            // Battlements.
            let count = if square { 8 } else { dice.count(5, 8) };
            for k in 0..count {
                let (sin, cos) = (TAU * (k as f32 + 0.5) / count as f32).sin_cos();
                let reach = if square { size / cos.abs().max(sin.abs()) } else { size };
                shape
                    .add(board([size * 0.2, size * 0.25, size * 0.2]))
                    .at([reach * cos, y + size * 0.1, reach * sin])
                    .slot(3);
            }
        }
        1 => {
            let spire = dice.between(0.1, 0.35);
            shape
                .add(Primitive::Cone { half_height: spire, bottom: wide, top: 0.005, round: 0.0 })
                .at([0.0, y + spire, 0.0])
                .slot(4);
        }
        2 => {
            shape.add(Primitive::Ellipsoid([size, size * dice.between(0.6, 1.3), size])).at([0.0, y, 0.0]).slot(4);
        }
        _ => {
            shape
                .add(Primitive::Limb {
                    from: [0.0, y, 0.0],
                    to: [0.0, y + 0.2, 0.0],
                    from_radius: 0.015,
                    to_radius: 0.008,
                })
                .slot(5);
        }
    }
    shape.next_group();
    if dice.chance(0.2) {
        // A castle's second pair of towers and wall.
        let far = dice.between(0.25, 0.45);
        let low = y * dice.between(0.3, 0.8);
        shape
            .add(Primitive::Cone { half_height: low * 0.5, bottom: 0.09, top: 0.08, round: 0.0 })
            .at([far, low * 0.5, 0.05])
            .mirrored()
            .slot(0);
        shape
            .add(Primitive::Cone { half_height: 0.08, bottom: 0.11, top: 0.004, round: 0.0 })
            .at([far, low + 0.08, 0.05])
            .mirrored()
            .slot(4);
        shape.add(board([far, low * 0.3, 0.04])).at([0.0, low * 0.3, 0.05]).slot(1);
    }
    if dice.chance(0.12) {
        // A windmill's sails.
        let at = [0.0, y * 0.85, size * 1.6 + 0.05];
        let tilt = dice.between(0.0, 1.5);
        for k in 0..2 {
            shape.add(board([0.4, 0.035, 0.012])).turned(&turn(2, tilt + FRAC_PI_2 * k as f32)).at(at).slot(5);
        }
        shape.add(Primitive::Limb { from: [0.0, at[1], 0.0], to: at, from_radius: 0.03, to_radius: 0.03 }).slot(5);
    }
    shape.paint_pair([0.0, y * 0.12, dice.between(0.12, 0.28)], 0.06, 6);
    shape
}

/// Walls, fences, gates, bridges, crates, barriers.
pub(super) fn wall(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let (long, tall) = (dice.between(0.3, 0.5), dice.between(0.1, 0.35));
    let thick = dice.log_between(0.02, 0.1);
    match dice.below(3) {
        0 => {
            // Fence.
            let posts = dice.count(3, 8);
            let pointed = dice.chance(0.5);
            for k in 0..posts {
                let x = (2.0 * k as f32 / (posts - 1) as f32 - 1.0) * long;
                let wide = thick.min(long / posts as f32 * 0.7);
                shape.add(board([wide, tall, thick * 0.5])).at([x, tall, 0.0]);
                if pointed {
                    shape.add(Primitive::Cone { half_height: 0.03, bottom: wide, top: 0.004, round: 0.0 }).at([
                        x,
                        tall * 2.0 + 0.02,
                        0.0,
                    ]);
                }
            }
            for y in [0.5, 1.5] {
                shape.add(board([long, 0.025, thick * 0.35])).at([0.0, tall * y, -thick * 0.5]).slot(1);
            }
        }
        1 => {
            // Masonry with a hollow, and battlements or a cap.
            shape.add(board([long, tall, thick])).at([0.0, tall, 0.0]);
            if dice.chance(0.5) {
                let wide = dice.between(0.06, 0.16);
                let high = tall * dice.between(0.6, 1.1);
                shape.add(board([wide, high, 1.0])).at([dice.between(-0.1, 0.1), high * 0.9, 0.0]).cut().slot(1);
            }
            if dice.chance(0.5) {
                for k in 0..5 {
                    let x = (k as f32 / 2.0 - 1.0) * long * 0.88;
                    shape.add(board([long * 0.12, 0.04, thick])).at([x, tall * 2.0 + 0.03, 0.0]);
                }
            } else {
                shape.add(board([long * 1.03, 0.025, thick * 1.4])).at([0.0, tall * 2.0, 0.0]).slot(2);
            }
        }
        _ => {
            // Bridge: a deck on an arch or on piers, with rails.
            let deep = dice.between(0.08, 0.2);
            shape.add(board([long, tall * 0.5, deep])).at([0.0, tall * 0.5, 0.0]);
            let span = long * dice.between(0.5, 0.8);
            let turned = times(&turn(0, FRAC_PI_2), &super::vector::IDENTITY);
            shape
                .add(Primitive::Superquadric { half: [span, 1.0, tall * 0.75], exponents: [0.2, 1.0] })
                .turned(&turned)
                .cut()
                .slot(1);
            for z in [deep, -deep] {
                shape.add(board([long, 0.05, 0.012])).at([0.0, tall + 0.04, z]).slot(2);
            }
        }
    }
    if dice.chance(0.4) {
        let post = dice.between(0.03, 0.07);
        shape.add(board([post, tall * 1.15, post])).at([long, tall * 1.15, 0.0]).mirrored().slot(2);
    }
    shape
}

/// Stairs, ramps, podiums, pyramids, wedges.
pub(super) fn stairs(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let steps = dice.count(2, 8);
    let (wide, long, tall) = (dice.between(0.12, 0.35), dice.between(0.3, 0.7), dice.between(0.2, 0.7));
    if dice.chance(0.25) {
        // Steps on all sides.
        for k in 0..steps {
            let shrink = 1.0 - k as f32 / steps as f32;
            let half = tall / steps as f32 * 0.5;
            shape.add(board([0.4 * shrink, half, 0.4 * shrink])).at([0.0, half * (2 * k + 1) as f32, 0.0]).slot(k % 2);
        }
        return shape;
    }
    let open = dice.chance(0.3);
    for k in 0..steps {
        let height = tall * (k + 1) as f32 / steps as f32;
        let deep = long / steps as f32 * 0.5;
        let z = long * 0.5 - deep * (2 * k + 1) as f32;
        if open {
            shape.add(board([wide, 0.018, deep * 1.1])).at([0.0, height, z]);
        } else {
            shape.add(board([wide, height * 0.5, deep * 1.01])).at([0.0, height * 0.5, z]);
        }
    }
    if open || dice.chance(0.4) {
        let from = [wide, 0.0, long * 0.5];
        let to = [wide, tall, -long * 0.5];
        shape.add(Primitive::Limb { from, to, from_radius: 0.03, to_radius: 0.03 }).mirrored().slot(1);
    }
    if dice.chance(0.4) {
        let rail = dice.between(0.12, 0.25);
        shape
            .add(Primitive::Limb {
                from: [wide, rail, long * 0.5],
                to: [wide, tall + rail, -long * 0.5],
                from_radius: 0.018,
                to_radius: 0.018,
            })
            .mirrored()
            .slot(2);
        for t in [0.0, 0.5, 1.0] {
            let (y, z) = (tall * t, long * (0.5 - t));
            shape
                .add(Primitive::Limb {
                    from: [wide, y, z],
                    to: [wide, y + rail, z],
                    from_radius: 0.014,
                    to_radius: 0.014,
                })
                .mirrored()
                .slot(2);
        }
    }
    shape
}
