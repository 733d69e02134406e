//! What rolls, floats and flies: front towards +Z, the same on both sides.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::dice::Dice;
use super::furniture::board;
use super::primitives::{Outline, Primitive};
use super::shape::Shape;
use super::vector::{Vec3, times, turn};

/// A wheel whose axle lies along X, and its twin on the other side.
fn wheels(shape: &mut Shape, at: Vec3, radius: f32, half_width: f32, slot: usize) {
    let axle = turn(2, FRAC_PI_2);
    let round = half_width.min(radius) * 0.3;
    shape
        .add(Primitive::Cone { half_height: half_width, bottom: radius, top: radius, round })
        .turned(&axle)
        .at(at)
        .mirrored()
        .slot(slot);
    shape
        .add(Primitive::Cone { half_height: half_width * 1.08, bottom: radius * 0.55, top: radius * 0.55, round: 0.0 })
        .turned(&axle)
        .at(at)
        .mirrored()
        .slot(slot + 1);
}

/// A side view as a polygon over (z, y), extruded across.
fn silhouette(corners: &[[f32; 2]], half_width: f32, soft: f32) -> (Primitive, super::vector::Mat3) {
    let flipped: Vec<[f32; 2]> = corners.iter().map(|c| [-c[0], c[1]]).collect();
    let outline = Outline::polygon(&flipped);
    (Primitive::Extrusion { outline, half_depth: half_width, soft, twist: 0.0 }, turn(1, FRAC_PI_2))
}

/// Cars, vans, lorries, buses, tractors, tanks.
pub(super) fn car(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let length = dice.between(0.3, 0.5);
    let wide = dice.between(0.13, 0.24);
    let wheel = dice.between(0.05, 0.12);
    let low = wheel * dice.between(0.6, 1.3);
    let deck = low + dice.between(0.07, 0.17);
    let roof = deck + dice.between(0.06, 0.2);
    let soft = dice.between(0.005, 0.05);
    let kind = dice.below(5);
    // Side view: bonnet, windscreen, roof, rear.
    let bonnet = match kind {
        0 => dice.between(0.35, 0.6),
        1 => dice.between(0.02, 0.2),
        _ => dice.between(0.2, 0.6),
    } * length;
    let tail = match kind {
        0 => dice.between(0.2, 0.5),
        2 => dice.between(0.7, 1.1),
        _ => dice.between(0.0, 0.15),
    } * length;
    let slant = dice.between(0.02, 0.12);
    let (body, across) = silhouette(
        &[
            [-length, low],
            [length, low],
            [length, deck * dice.between(0.85, 1.0)],
            [length - bonnet, deck],
            [tail - length, deck],
            [-length, deck],
        ],
        wide,
        soft,
    );
    shape.add(body).turned(&across);
    let (cabin, across) = silhouette(
        &[
            [length - bonnet, deck - 0.03],
            [length - bonnet - slant, roof],
            [tail - length + slant * dice.between(0.0, 1.0), roof],
            [tail - length, deck - 0.03],
        ],
        wide * dice.between(0.78, 0.98),
        soft * 0.7,
    );
    let two_tone = dice.chance(0.5);
    shape.add(cabin).turned(&across).slot(usize::from(two_tone));
    let axles = [length * dice.between(0.5, 0.72), -length * dice.between(0.5, 0.72)];
    let thick = dice.between(0.025, 0.06);
    if dice.chance(0.5) {
        for z in axles {
            shape
                .add(Primitive::Cone { half_height: 0.09, bottom: wheel * 1.25, top: wheel * 1.25, round: 0.0 })
                .turned(&turn(2, FRAC_PI_2))
                .at([wide, wheel, z])
                .mirrored()
                .cut()
                .slot(4);
        }
    }
    shape.next_group();
    for z in axles {
        wheels(&mut shape, [wide - thick * dice.between(0.2, 0.9), wheel, z], wheel, thick, 4);
    }
    if dice.chance(0.15) {
        wheels(&mut shape, [wide - thick, wheel, 0.0], wheel, thick, 4);
    }
    if kind == 2 {
        // A load on the back.
        let half_load = (tail * 0.47).max(0.05);
        match dice.below(3) {
            0 => {
                shape
                    .add(board([wide, (roof - deck) * 0.6, half_load]))
                    .at([0.0, deck + (roof - deck) * 0.6, half_load - length])
                    .slot(2);
            }
            1 => {
                shape
                    .add(Primitive::Limb {
                        from: [0.0, deck + wide * 0.6, 0.1 - length],
                        to: [0.0, deck + wide * 0.6, tail - length - 0.1],
                        from_radius: wide * 0.7,
                        to_radius: wide * 0.7,
                    })
                    .slot(2);
            }
            _ => {
                shape
                    .add(board([0.015, 0.04, half_load]))
                    .at([wide * 0.95, deck + 0.04, half_load - length])
                    .mirrored()
                    .slot(2);
                shape.add(board([wide, 0.04, 0.015])).at([0.0, deck + 0.04, 0.015 - length]).slot(2);
            }
        }
    }
    if kind == 3 && dice.chance(0.4) {
        // Turret and gun, or a digger's arm.
        shape
            .add(Primitive::Cone { half_height: 0.05, bottom: wide * 0.7, top: wide * 0.6, round: 0.02 })
            .at([0.0, roof, 0.0])
            .slot(1);
        shape
            .add(Primitive::Limb {
                from: [0.0, roof + 0.01, 0.0],
                to: [0.0, roof + dice.between(0.0, 0.2), length * 1.2],
                from_radius: 0.03,
                to_radius: 0.025,
            })
            .slot(1);
    }
    // Lamps, windows, bumpers and mirrors.
    shape.paint_pair([wide * 0.75, (low + deck) * 0.55, length], 0.035, 5);
    if dice.chance(0.6) {
        shape.paint_pair([wide, (deck + roof) * 0.5, (tail - bonnet) * 0.5], (roof - deck) * 0.42, 6);
        shape.paint_pair([0.0, (deck + roof) * 0.5, length - bonnet], (roof - deck) * 0.5, 6);
    }
    if dice.chance(0.5) {
        for z in [length, -length] {
            shape.add(Primitive::Box { half: [wide * 1.02, 0.02, 0.02], round: 0.01 }).at([0.0, low + 0.02, z]).slot(3);
        }
    }
    if dice.chance(0.3) {
        shape
            .add(Primitive::Ellipsoid([0.025, 0.018, 0.012]))
            .at([wide + 0.015, deck + 0.01, length - bonnet - 0.02])
            .mirrored()
            .slot(3);
    }
    if dice.chance(0.2) {
        shape.add(board([wide * 0.8, 0.01, 0.02])).at([0.0, deck + 0.07, -length * 0.95]).slot(3);
        shape.add(board([0.01, 0.04, 0.015])).at([wide * 0.6, deck + 0.03, -length * 0.95]).mirrored().slot(3);
    }
    shape
}

/// Carts, wagons, bicycles, wheelbarrows, cannons, prams.
pub(super) fn cart(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let wheel = dice.between(0.08, 0.22);
    let length = dice.between(0.2, 0.42);
    let wide = dice.between(0.08, 0.22);
    let thin = dice.between(0.015, 0.04);
    let axle = turn(2, FRAC_PI_2);
    if dice.chance(0.3) {
        // Two wheels in line and a frame: bicycle, motorcycle, scooter.
        let fat = dice.between(0.02, 0.05);
        for z in [length, -length] {
            shape
                .add(Primitive::Ring { major: wheel, minor: fat, half_angle: 4.0 })
                .turned(&axle)
                .at([0.0, wheel, z])
                .slot(4);
            for k in 0..3 {
                let spoke = times(&turn(0, TAU * k as f32 / 6.0), &axle);
                shape
                    .add(Primitive::Cone { half_height: 0.008, bottom: 0.02, top: 0.02, round: 0.0 })
                    .turned(&spoke)
                    .at([0.0, wheel, z])
                    .slot(5);
                let (sin, cos) = (TAU * k as f32 / 6.0).sin_cos();
                shape
                    .add(Primitive::Limb {
                        from: [0.0, wheel + wheel * cos, z + wheel * sin],
                        to: [0.0, wheel - wheel * cos, z - wheel * sin],
                        from_radius: 0.008,
                        to_radius: 0.008,
                    })
                    .slot(5);
            }
        }
        let (seat, bar) = ([0.0, wheel * 2.4, -length * 0.4], [0.0, wheel * 2.6, length * 0.75]);
        let pedal = [0.0, wheel * 0.9, -length * 0.1];
        for (a, b) in [
            (seat, pedal),
            (pedal, bar),
            (seat, bar),
            (bar, [0.0, wheel, length]),
            (seat, [0.0, wheel, -length]),
            (pedal, [0.0, wheel, -length]),
        ] {
            shape.add(Primitive::Limb { from: a, to: b, from_radius: thin, to_radius: thin }).slot(0);
        }
        if dice.chance(0.5) {
            shape
                .add(Primitive::Ellipsoid([thin * 2.5, wheel * 0.5, length * 0.5]))
                .at([0.0, wheel * 1.6, 0.0])
                .slot(1);
        }
        shape
            .add(Primitive::Limb {
                from: bar,
                to: [wide, bar[1] + 0.02, bar[2] - 0.08],
                from_radius: 0.014,
                to_radius: 0.014,
            })
            .mirrored()
            .slot(2);
        shape.add(Primitive::Box { half: [0.035, 0.02, 0.08], round: 0.018 }).at(seat).slot(3);
        return shape;
    }
    let deck = wheel * dice.between(0.9, 1.6);
    let side = dice.between(0.03, 0.15);
    match dice.below(3) {
        0 => {
            shape.add(board([wide, side, length])).at([0.0, deck + side, 0.0]);
            shape.add(board([wide - 0.02, side, length - 0.02])).at([0.0, deck + side + 0.03, 0.0]).cut().slot(1);
        }
        1 => {
            shape.add(Primitive::Limb {
                from: [0.0, deck, -length * 0.7],
                to: [0.0, deck + dice.between(0.0, 0.2), length],
                from_radius: wide * 0.6,
                to_radius: wide * 0.45,
            });
        }
        _ => {
            shape.add(Primitive::Box { half: [wide, side, length], round: 0.03_f32.min(side * 0.9) }).at([
                0.0,
                deck + side,
                0.0,
            ]);
            shape
                .add(Primitive::Cone { half_height: wide, bottom: length * 0.7, top: length * 0.7, round: 0.01 })
                .turned(&axle)
                .at([0.0, deck + side * 2.0, 0.0])
                .slot(1);
        }
    }
    shape.next_group();
    let axles: Vec<f32> =
        if dice.chance(0.5) { vec![length * 0.7, -length * 0.7] } else { vec![dice.between(-0.1, 0.1)] };
    for z in &axles {
        let spoked = dice.chance(0.5);
        let at = [wide + thin, wheel, *z];
        if spoked {
            shape
                .add(Primitive::Ring { major: wheel - 0.02, minor: 0.02, half_angle: 4.0 })
                .turned(&axle)
                .at(at)
                .mirrored()
                .slot(4);
            for k in 0..3 {
                let (sin, cos) = (TAU * k as f32 / 6.0).sin_cos();
                let rim = wheel - 0.02;
                shape
                    .add(Primitive::Limb {
                        from: [at[0], wheel + rim * cos, z + rim * sin],
                        to: [at[0], wheel - rim * cos, z - rim * sin],
                        from_radius: 0.012,
                        to_radius: 0.012,
                    })
                    .mirrored()
                    .slot(4);
            }
        } else {
            wheels(&mut shape, at, wheel, thin, 4);
        }
        shape
            .add(Primitive::Limb { from: [0.0, wheel, *z], to: at, from_radius: 0.02, to_radius: 0.02 })
            .mirrored()
            .slot(5);
    }
    if dice.chance(0.6) {
        let end = [wide * dice.between(0.0, 0.8), deck + dice.between(-0.1, 0.1), -length - dice.between(0.1, 0.3)];
        shape
            .add(Primitive::Limb {
                from: [end[0], deck + side, -length * 0.9],
                to: end,
                from_radius: 0.018,
                to_radius: 0.018,
            })
            .mirrored()
            .slot(2);
    }
    shape
}

/// Boats, ships, canoes.
pub(super) fn boat(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let (length, wide, tall) = (0.45, dice.between(0.08, 0.2), dice.between(0.06, 0.16));
    shape.add(Primitive::Ellipsoid([wide, tall * 1.6, length]));
    shape.add(board([1.0, 1.0, 1.0])).at([0.0, 1.0, 0.0]).cut().slot(1);
    let open = dice.chance(0.5);
    if open {
        shape.add(Primitive::Ellipsoid([wide * 0.85, tall * 1.3, length * 0.9])).at([0.0, 0.01, 0.0]).cut().slot(1);
    }
    shape.next_group();
    if open {
        for _ in 0..dice.count(1, 3) {
            shape.add(board([wide * 0.8, 0.012, 0.04])).at([0.0, -0.03, dice.between(-0.25, 0.25)]).slot(2);
        }
    } else {
        let mut y = 0.0;
        for floor in 0..dice.count(1, 3) {
            let high = dice.between(0.03, 0.08);
            let shrink = 0.75 - 0.15 * floor as f32;
            shape.add(board([wide * shrink, high, length * shrink * 0.5])).at([0.0, y + high, -0.08]).slot(2 + floor);
            y += high * 2.0;
        }
        if dice.chance(0.5) {
            shape
                .add(Primitive::Cone { half_height: 0.07, bottom: 0.04, top: 0.035, round: 0.0 })
                .at([0.0, y + 0.05, -0.1])
                .slot(5);
        }
    }
    if dice.chance(0.5) {
        let mast = dice.between(0.3, 0.6);
        shape
            .add(Primitive::Limb {
                from: [0.0, -0.02, 0.05],
                to: [0.0, mast, 0.05],
                from_radius: 0.018,
                to_radius: 0.012,
            })
            .slot(5);
        if dice.chance(0.7) {
            let across = dice.chance(0.5);
            let sail = if across {
                Primitive::Ellipsoid([mast * 0.45, mast * 0.35, 0.03])
            } else {
                Primitive::Extrusion {
                    outline: Outline::polygon(&[[0.0, 0.05], [0.0, mast * 0.95], [-mast * 0.6, 0.05]]),
                    half_depth: 0.012,
                    soft: 0.0,
                    twist: 0.0,
                }
            };
            let rotation = if across { super::vector::IDENTITY } else { turn(1, -FRAC_PI_2) };
            let lift = if across { mast * 0.55 } else { 0.0 };
            shape.add(sail).turned(&rotation).at([0.0, lift, 0.06]).slot(6);
        }
    }
    shape
}

/// Aeroplanes, rockets, helicopters, space ships.
pub(super) fn aircraft(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let length = 0.42;
    let fat = dice.between(0.04, 0.12);
    let nose = fat * dice.between(0.2, 0.9);
    let blend = dice.between(0.0, 0.03);
    if dice.chance(0.3) {
        // A rocket, standing.
        let (tall, tip) = (dice.between(0.4, 0.7), dice.between(0.1, 0.3));
        shape
            .add(Primitive::Cone {
                half_height: tall * 0.5,
                bottom: fat * 1.2,
                top: fat * dice.between(0.8, 1.2),
                round: 0.01,
            })
            .at([0.0, tall * 0.5, 0.0]);
        shape
            .add(Primitive::Limb {
                from: [0.0, tall, 0.0],
                to: [0.0, tall + tip, 0.0],
                from_radius: fat,
                to_radius: 0.015,
            })
            .slot(1);
        let fins = dice.count(3, 4);
        let size = dice.between(0.08, 0.2);
        let outline =
            Outline::polygon(&[[fat * 0.8, 0.3], [fat + size, 0.0], [fat + size * 0.9, -0.08], [fat * 0.8, 0.02]]);
        for fin in 0..fins {
            let yaw = turn(1, TAU * fin as f32 / fins as f32);
            shape
                .add(Primitive::Extrusion { outline: outline.clone(), half_depth: 0.015, soft: 0.0, twist: 0.0 })
                .turned(&yaw)
                .slot(2);
        }
        shape.paint_pair([0.0, tall * 0.75, fat], fat * 0.5, 3);
        return shape;
    }
    shape
        .add(Primitive::Limb {
            from: [0.0, 0.0, length - fat],
            to: [0.0, dice.between(-0.01, 0.05), -length],
            from_radius: fat,
            to_radius: nose,
        })
        .blend(blend);
    shape
        .add(Primitive::Ellipsoid([fat * 0.7, fat * 0.8, fat * 1.6]))
        .at([0.0, fat * 0.6, length * dice.between(0.1, 0.6)])
        .blend(blend)
        .slot(3);
    let rotor = dice.chance(0.2);
    let span = dice.between(0.2, 0.48);
    if rotor {
        shape.add(Primitive::Ellipsoid([fat * 1.4, fat * 1.6, fat * 2.2])).at([0.0, 0.0, length * 0.5]).blend(0.03);
        shape.next_group();
        let top = [0.0, fat * 2.3, length * 0.4];
        for yaw in [0.3, 0.3 + FRAC_PI_2] {
            shape.add(board([span, 0.01, 0.025])).turned(&turn(1, yaw)).at(top).slot(2);
        }
        shape
            .add(Primitive::Cone { half_height: fat * 0.8, bottom: 0.02, top: 0.02, round: 0.0 })
            .at([0.0, fat * 1.6, length * 0.4])
            .slot(2);
        shape
            .add(Primitive::Limb {
                from: [fat, -fat * 2.0, 0.05],
                to: [fat, -fat * 2.0, length * 0.8],
                from_radius: 0.014,
                to_radius: 0.014,
            })
            .mirrored()
            .slot(2);
        shape
            .add(Primitive::Limb {
                from: [fat, -fat * 2.0, length * 0.4],
                to: [0.0, 0.0, length * 0.4],
                from_radius: 0.014,
                to_radius: 0.014,
            })
            .mirrored()
            .slot(2);
    } else {
        let sweep = dice.between(-0.05, 0.3);
        let (root, tip) = (dice.between(0.08, 0.22), dice.between(0.02, 0.1));
        let wing =
            Outline::polygon(&[[0.0, root], [span, root - sweep], [span, root - sweep - tip], [0.0, -root * 0.4]]);
        let lay = times(&turn(2, dice.between(-0.1, 0.25)), &turn(0, FRAC_PI_2));
        let high = fat * dice.between(-0.7, 0.8);
        let thick = dice.between(0.012, 0.025);
        shape
            .add(Primitive::Extrusion { outline: wing.clone(), half_depth: thick, soft: 0.0, twist: 0.0 })
            .turned(&lay)
            .at([0.0, high, dice.between(-0.1, 0.05)])
            .mirrored()
            .blend(blend)
            .slot(1);
        if dice.chance(0.15) {
            shape
                .add(Primitive::Extrusion { outline: wing, half_depth: thick, soft: 0.0, twist: 0.0 })
                .turned(&lay)
                .at([0.0, high + fat * 2.0, 0.0])
                .mirrored()
                .slot(1);
        }
        if dice.chance(0.5) {
            let engine = dice.between(0.025, 0.05);
            let at = [span * 0.4, high - engine, 0.02];
            shape
                .add(Primitive::Cone { half_height: engine * 2.2, bottom: engine, top: engine, round: engine * 0.3 })
                .turned(&turn(0, FRAC_PI_2))
                .at(at)
                .mirrored()
                .slot(4);
        }
    }
    let fin = dice.between(0.06, 0.2);
    let upright = Outline::polygon(
        &[[-length + 0.02, fin + 0.02], [-length + fin * 0.6, fin], [-length + fin * 1.3, 0.0], [-length, 0.0]]
            .map(|c: [f32; 2]| [-c[0], c[1]]),
    );
    shape
        .add(Primitive::Extrusion { outline: upright, half_depth: 0.014, soft: 0.0, twist: 0.0 })
        .turned(&turn(1, FRAC_PI_2))
        .slot(2);
    if dice.chance(0.8) {
        shape
            .add(board([fin * 1.1, 0.012, fin * 0.35]))
            .at([0.0, if dice.chance(0.3) { fin } else { 0.02 }, -length + fin * 0.35])
            .slot(2);
    }
    if dice.chance(0.3) && !rotor {
        let blade = dice.between(0.08, 0.16);
        shape
            .add(board([blade, 0.02, 0.01]))
            .turned(&turn(2, dice.between(0.0, 3.0)))
            .at([0.0, 0.0, length + 0.02])
            .slot(4);
    }
    shape
}
