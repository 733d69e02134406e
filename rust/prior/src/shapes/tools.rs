//! Tools, weapons, devices and other things of plates and sticks.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::dice::Dice;
use super::furniture::board;
use super::primitives::{Outline, Primitive};
use super::shape::Shape;
use super::vector::{Mat3, Vec3, add, times, turn};

/// A long thing along +Y, made to stand, lie or lean.
fn laid(shape: Shape, dice: &mut Dice) -> Shape {
    let rotation: Mat3 = match dice.below(4) {
        0 => return shape,
        1 => times(&turn(1, dice.between(0.0, TAU)), &turn(0, FRAC_PI_2)),
        2 => turn(2, FRAC_PI_2 * dice.sign()),
        _ => times(&turn(2, dice.between(-1.2, 1.2)), &turn(1, dice.between(-0.6, 0.6))),
    };
    shape.rotated(&rotation)
}

/// Swords, knives, spoons, screwdrivers, keys, wands, bones: long things with ends.
pub(super) fn blade(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let grip = dice.between(0.08, 0.25);
    let thick = dice.between(0.015, 0.045);
    shape.add(Primitive::Limb {
        from: [0.0, -grip, 0.0],
        to: [0.0; 3],
        from_radius: thick * dice.between(0.8, 1.4),
        to_radius: thick,
    });
    let long = dice.between(0.2, 0.7);
    let wide = dice.between(0.02, 0.09);
    match dice.below(5) {
        0 | 1 => {
            let bow = dice.between(-0.1, 0.15) * f32::from(dice.chance(0.4));
            let outline = Outline::polygon(&[
                [-wide, 0.0],
                [wide, 0.0],
                [wide * dice.between(0.7, 1.5) + bow, long * 0.6],
                [bow * dice.between(0.5, 2.0), long],
                [-wide * dice.between(0.3, 1.0) + bow, long * 0.6],
            ]);
            shape
                .add(Primitive::Extrusion { outline, half_depth: dice.between(0.01, 0.022), soft: 0.0, twist: 0.0 })
                .slot(1);
            if dice.chance(0.7) {
                let guard = dice.between(0.06, 0.16);
                shape.add(Primitive::Box { half: [guard, thick * 0.8, thick * 1.2], round: thick * 0.5 }).slot(2);
            }
            if dice.chance(0.6) {
                shape.add(Primitive::Ellipsoid([thick * 1.7; 3])).at([0.0, -grip, 0.0]).slot(2);
            }
        }
        2 => {
            shape
                .add(Primitive::Limb {
                    from: [0.0; 3],
                    to: [0.0, long, 0.0],
                    from_radius: thick * 0.6,
                    to_radius: thick * dice.between(0.3, 0.7),
                })
                .slot(1);
            let bowl = dice.between(0.03, 0.12);
            shape
                .add(Primitive::Ellipsoid([bowl, bowl * dice.between(0.8, 1.6), bowl * dice.between(0.15, 1.0)]))
                .at([0.0, long, 0.0])
                .blend(0.02)
                .slot(2);
        }
        3 => {
            shape
                .add(Primitive::Limb {
                    from: [0.0; 3],
                    to: [0.0, long, 0.0],
                    from_radius: thick * 0.6,
                    to_radius: thick * 0.6,
                })
                .slot(1);
            let prongs = dice.count(2, 4);
            let spread = dice.between(0.03, 0.09);
            let tine = dice.between(0.08, 0.25);
            for k in 0..prongs {
                let x = (k as f32 / (prongs - 1) as f32 - 0.5) * 2.0 * spread;
                shape
                    .add(Primitive::Limb {
                        from: [x, long, 0.0],
                        to: [x, long + tine, 0.0],
                        from_radius: 0.014,
                        to_radius: 0.01,
                    })
                    .slot(2);
            }
            shape
                .add(Primitive::Limb {
                    from: [-spread, long, 0.0],
                    to: [spread, long, 0.0],
                    from_radius: 0.016,
                    to_radius: 0.016,
                })
                .slot(2);
        }
        _ => {
            shape
                .add(Primitive::Limb {
                    from: [0.0; 3],
                    to: [0.0, long, 0.0],
                    from_radius: thick,
                    to_radius: thick * 0.8,
                })
                .slot(1);
            let knob = thick * dice.between(1.5, 3.0);
            for end in [-grip, long] {
                shape
                    .add(Primitive::Ellipsoid([knob, knob * 0.8, knob * 0.8]))
                    .at([knob * 0.5, end, 0.0])
                    .mirrored()
                    .blend(0.02)
                    .slot(2);
            }
        }
    }
    laid(shape, dice)
}

/// Hammers, axes, picks, spades, maces, brooms, crutches.
pub(super) fn hammer(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let long = dice.between(0.35, 0.85);
    let thick = dice.between(0.018, 0.045);
    shape.add(Primitive::Limb {
        from: [0.0; 3],
        to: [0.0, long, 0.0],
        from_radius: thick,
        to_radius: thick * dice.between(0.8, 1.1),
    });
    let top = [0.0, long * dice.between(0.88, 1.0), 0.0];
    let size = dice.between(0.06, 0.2);
    match dice.below(5) {
        0 => {
            let half = [size, size * dice.between(0.35, 0.8), size * dice.between(0.3, 0.7)];
            shape.add(Primitive::Box { half, round: dice.between(0.005, 0.03) }).at(top).slot(1);
        }
        1 => {
            let edge = size * dice.between(0.6, 1.5);
            let outline = Outline::polygon(&[
                [0.0, 0.05],
                [size * 1.4, edge],
                [size * 1.6, 0.0],
                [size * 1.4, -edge],
                [0.0, -0.05],
            ]);
            let part = shape.add(Primitive::Extrusion {
                outline,
                half_depth: dice.between(0.012, 0.03),
                soft: 0.0,
                twist: 0.0,
            });
            part.at(top).slot(1);
            if dice.chance(0.4) {
                part.mirrored();
            }
        }
        2 => {
            let droop = dice.between(-0.05, 0.12);
            shape
                .add(Primitive::Limb {
                    from: top,
                    to: add(top, [size * 1.6, -droop, 0.0]),
                    from_radius: thick * 1.4,
                    to_radius: 0.01,
                })
                .mirrored()
                .slot(1);
        }
        3 => {
            let half = [size * 0.7, size, 0.015];
            shape.add(Primitive::Box { half, round: 0.01 }).at(add(top, [0.0, size * 0.9, 0.0])).slot(1);
        }
        _ => {
            shape.add(Primitive::Ellipsoid([size * 0.7, size * dice.between(0.6, 1.0), size * 0.7])).at(top).slot(1);
            for _ in 0..dice.count(0, 8) {
                let d = dice.direction();
                let tip: Vec3 = std::array::from_fn(|k| top[k] + d[k] * size * 1.1);
                shape.add(Primitive::Limb { from: top, to: tip, from_radius: size * 0.25, to_radius: 0.008 }).slot(2);
            }
        }
    }
    if dice.chance(0.25) {
        shape
            .add(Primitive::Ring { major: thick * 2.2, minor: thick * 0.7, half_angle: 4.0 })
            .turned(&turn(0, FRAC_PI_2))
            .at([0.0, -thick * 2.0, 0.0])
            .slot(2);
    }
    laid(shape, dice)
}

/// Guns, drills, cameras, hair dryers, telescopes: a body along X with a grip.
pub(super) fn gun(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let body = [dice.between(0.1, 0.25), dice.between(0.03, 0.08), dice.between(0.02, 0.05)];
    shape.add(Primitive::Box { half: body, round: dice.between(0.003, body[2] * 0.9) });
    let barrel = dice.between(0.05, 0.35);
    let bore = dice.between(0.012, body[1] * 0.7);
    let lift = dice.between(0.0, body[1] * 0.5);
    shape
        .add(Primitive::Limb {
            from: [body[0] * 0.8, lift, 0.0],
            to: [body[0] + barrel, lift, 0.0],
            from_radius: bore,
            to_radius: bore,
        })
        .slot(1);
    if dice.chance(0.4) {
        shape
            .add(Primitive::Cone { half_height: barrel * 0.2, bottom: bore * 1.6, top: bore * 1.6, round: 0.003 })
            .turned(&turn(2, FRAC_PI_2))
            .at([body[0] + barrel * 0.85, lift, 0.0])
            .slot(2);
    }
    let grip = dice.between(0.07, 0.16);
    let slant = turn(2, -dice.between(0.0, 0.4));
    shape
        .add(Primitive::Box { half: [0.03, grip, body[2] * 0.85], round: 0.012 })
        .turned(&slant)
        .at([-body[0] * dice.between(0.3, 0.8), -grip, 0.0])
        .slot(3);
    if dice.chance(0.6) {
        shape
            .add(Primitive::Ring { major: 0.035, minor: 0.009, half_angle: 4.0 })
            .turned(&turn(0, FRAC_PI_2))
            .at([-body[0] * 0.1, -body[1] - 0.025, 0.0])
            .slot(1);
    }
    if dice.chance(0.5) {
        let stock = dice.between(0.1, 0.3);
        let outline = Outline::polygon(&[
            [0.0, body[1] * 0.8],
            [0.0, -body[1] * 0.6],
            [-stock, -body[1] * 2.0],
            [-stock, body[1] * 0.6],
        ]);
        shape
            .add(Primitive::Extrusion { outline, half_depth: body[2] * 0.8, soft: 0.01, twist: 0.0 })
            .at([-body[0], 0.0, 0.0])
            .slot(3);
    }
    if dice.chance(0.5) {
        let tall = dice.between(0.05, 0.14);
        shape
            .add(board([0.03, tall, body[2] * 0.7]))
            .turned(&turn(2, dice.between(-0.1, 0.3)))
            .at([body[0] * dice.between(0.1, 0.7), -tall, 0.0])
            .slot(2);
    }
    if dice.chance(0.45) {
        let scope = dice.between(0.012, 0.03);
        shape
            .add(Primitive::Cone {
                half_height: body[0] * 0.5,
                bottom: scope,
                top: scope * dice.between(0.8, 1.3),
                round: 0.0,
            })
            .turned(&turn(2, FRAC_PI_2))
            .at([0.0, body[1] + scope * 1.2, 0.0])
            .slot(2);
    }
    let yaw = turn(1, if dice.chance(0.6) { 0.0 } else { -FRAC_PI_2 });
    shape.rotated(&yaw)
}

/// Screens, frames, laptops, telephones, clocks, signs, cards: thin plates with feet or hinges.
pub(super) fn screen(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let half = [dice.between(0.12, 0.48), dice.between(0.12, 0.4), dice.log_between(0.012, 0.06)];
    let frame = dice.between(0.01, 0.05);
    let round = dice.between(0.002, half[2] * 0.9);
    let lean = turn(0, -dice.between(0.0, 0.35));
    let deep = dice.between(0.1, 1.2) * half[2];
    let center = [0.0, half[1], 0.0];
    shape.add(Primitive::Box { half, round }).turned(&lean).at(center);
    let face = super::vector::apply(&lean, [0.0, 0.0, half[2]]);
    if dice.chance(0.7) {
        shape.add(board([half[0] - frame, half[1] - frame, deep])).turned(&lean).at(add(center, face)).cut().slot(1);
    } else {
        shape.add(board([half[0] - frame, half[1] - frame, 0.006])).turned(&lean).at(add(center, face)).slot(1);
    }
    shape.next_group();
    match dice.below(5) {
        0 => {
            let foot = dice.between(0.06, 0.2);
            shape.add(board([0.03, foot, 0.02])).at([0.0, -foot * 0.5, -half[2] * 0.5]).slot(2);
            shape.add(Primitive::Box { half: [half[0] * 0.5, 0.012, 0.1], round: 0.01 }).at([0.0, -foot, 0.0]).slot(2);
        }
        1 => {
            let key = dice.between(0.15, 0.35);
            shape.add(Primitive::Box { half: [half[0], 0.014, key], round: 0.008 }).at([0.0, 0.0, key]).slot(2);
            shape.add(board([half[0] * 0.85, 0.004, key * 0.5])).at([0.0, 0.014, key * 0.8]).slot(3);
        }
        2 => {
            let post = dice.between(0.15, 0.5);
            shape
                .add(Primitive::Cone { half_height: post * 0.5, bottom: 0.02, top: 0.02, round: 0.0 })
                .at([0.0, -post * 0.5, 0.0])
                .slot(2);
            if dice.chance(0.4) {
                shape
                    .add(Primitive::Cone { half_height: post * 0.5, bottom: 0.02, top: 0.02, round: 0.0 })
                    .at([half[0] * 0.7, -post * 0.5, 0.0])
                    .mirrored()
                    .slot(2);
            }
        }
        3 => {
            let bulge = dice.between(0.05, 0.2);
            shape
                .add(Primitive::Box { half: [half[0] * 0.8, half[1] * 0.8, bulge], round: 0.03 })
                .at(add(center, [0.0, 0.0, -bulge]))
                .slot(0);
        }
        _ => {}
    }
    if dice.chance(0.15) {
        let flat = turn(0, -FRAC_PI_2);
        return shape.rotated(&times(&turn(1, dice.between(0.0, TAU)), &flat));
    }
    shape
}

/// Wire baskets, cages, antennas, hangers, glasses, scaffolds: thin rods between points.
pub(super) fn wires(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let thin = dice.log_between(0.012, 0.03);
    if dice.chance(0.5) {
        // A cage: rings and posts.
        let (high, wide) = (dice.between(0.2, 0.8), dice.between(0.15, 0.35));
        let top = wide * dice.between(0.5, 1.3);
        for k in 0..dice.count(2, 4) {
            let t = k as f32 / 3.0;
            shape
                .add(Primitive::Ring { major: wide + (top - wide) * t, minor: thin, half_angle: 4.0 })
                .at([0.0, high * t, 0.0])
                .slot(1);
        }
        let posts = dice.count(4, 10);
        for k in 0..posts {
            let (sin, cos) = (TAU * k as f32 / posts as f32).sin_cos();
            shape.add(Primitive::Limb {
                from: [wide * cos, 0.0, wide * sin],
                to: [top * cos, high, top * sin],
                from_radius: thin,
                to_radius: thin,
            });
        }
        if dice.chance(0.5) {
            shape.add(Primitive::Cone { half_height: 0.015, bottom: wide, top: wide, round: 0.0 }).slot(2);
        }
        return shape;
    }
    // A frame between the corners of a box, with struts.
    let half = [dice.between(0.12, 0.4), dice.between(0.12, 0.45), dice.between(0.08, 0.35)];
    let rod = |from: Vec3, to: Vec3| Primitive::Limb { from, to, from_radius: thin, to_radius: thin };
    for (y, z) in [(0.0, 1.0), (0.0, -1.0), (2.0, 1.0), (2.0, -1.0)] {
        shape.add(rod([0.0, y * half[1], z * half[2]], [half[0], y * half[1], z * half[2]])).mirrored();
    }
    for z in [half[2], -half[2]] {
        shape.add(rod([half[0], 0.0, z], [half[0], 2.0 * half[1], z])).mirrored().slot(1);
    }
    for y in [0.0, 2.0 * half[1]] {
        shape.add(rod([half[0], y, half[2]], [half[0], y, -half[2]])).mirrored();
    }
    for _ in 0..dice.count(0, 4) {
        let corner = |dice: &mut Dice| [half[0], f32::from(dice.chance(0.5)) * 2.0 * half[1], half[2] * dice.sign()];
        let (a, b) = (corner(dice), corner(dice));
        shape.add(rod(a, b)).mirrored().slot(1);
    }
    if dice.chance(0.4) {
        shape.add(board([half[0], 0.015, half[2]])).at([0.0, half[1] * dice.between(0.0, 2.0), 0.0]).slot(2);
    }
    if dice.chance(0.3) {
        let size = half[0].min(half[2]) * 0.7;
        shape.add(Primitive::Ellipsoid([size; 3])).at([0.0, half[1], 0.0]).slot(3);
        shape.add(rod([0.0, 0.0, 0.0], [0.0, 2.0 * half[1], 0.0])).slot(1);
    }
    shape
}

/// Books, papers, boxes and planks in a heap.
pub(super) fn books(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let mut y = 0.0;
    let standing = dice.chance(0.3);
    let base = [dice.between(0.15, 0.35), dice.between(0.15, 0.4)];
    for k in 0..dice.count(1, 7) {
        let thick = dice.log_between(0.015, 0.09);
        let half = [base[0] * dice.between(0.7, 1.05), thick, base[1] * dice.between(0.7, 1.05)];
        let yaw = turn(1, dice.normal() * 0.15);
        let slide = [dice.normal() * 0.02, 0.0, dice.normal() * 0.02];
        shape.next_group();
        shape.add(board(half)).turned(&yaw).at(add(slide, [0.0, y + thick, 0.0])).slot(k % 7);
        if thick > 0.03 && dice.chance(0.5) {
            // The pages, set back between the covers.
            let inner = super::vector::apply(&yaw, [0.02, 0.0, 0.0]);
            shape
                .add(board([half[0], thick * 0.75, half[2] * 1.1]))
                .turned(&yaw)
                .at(add(add(slide, inner), [half[0] * 1.9, y + thick, 0.0]))
                .cut()
                .slot(7);
        }
        y += thick * 2.0;
    }
    if standing {
        return shape.rotated(&times(&turn(1, dice.between(-0.8, 0.8)), &turn(2, FRAC_PI_2)));
    }
    shape
}
