//! Furniture: boards and sticks.

use std::f32::consts::{FRAC_PI_2, TAU};

use super::dice::Dice;
use super::primitives::Primitive;
use super::shape::Shape;
use super::vector::{Vec3, turn};

/// A box with nearly sharp edges.
pub(super) fn board(half: Vec3) -> Primitive {
    Primitive::Box { half, round: 0.004 }
}

/// Four legs under a seat or top of `half` width and depth, up to `height`.
fn legs(shape: &mut Shape, dice: &mut Dice, half: [f32; 2], height: f32, slot: usize) {
    let thick = dice.between(0.015, 0.05);
    let splay = if dice.chance(0.4) { dice.between(0.0, 0.08) } else { 0.0 };
    let square = dice.chance(0.5) && splay == 0.0;
    for back in [1.0, -1.0] {
        let at = [half[0] - thick, 0.0, back * (half[1] - thick)];
        if square {
            shape.add(board([thick, height * 0.5, thick])).at([at[0], height * 0.5, at[2]]).mirrored().slot(slot);
        } else {
            let foot = [at[0] + splay, thick, at[2] + back * splay];
            shape
                .add(Primitive::Limb {
                    from: [at[0], height, at[2]],
                    to: foot,
                    from_radius: thick,
                    to_radius: thick * 0.7,
                })
                .mirrored()
                .slot(slot);
        }
    }
    if dice.chance(0.35) {
        let y = height * dice.between(0.15, 0.5);
        let bar = thick * 0.6;
        shape.add(board([half[0] - thick, bar, bar])).at([0.0, y, half[1] - thick]).slot(slot);
        shape.add(board([half[0] - thick, bar, bar])).at([0.0, y, thick - half[1]]).slot(slot);
        shape.add(board([bar, bar, half[1] - thick])).at([half[0] - thick, y, 0.0]).mirrored().slot(slot);
    }
}

/// Tables, desks, stools, benches.
pub(super) fn table(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let height = dice.between(0.2, 0.6);
    let half = [dice.between(0.2, 0.5), dice.between(0.15, 0.4)];
    let top = dice.between(0.015, 0.06);
    let round = dice.chance(0.35);
    if round {
        shape
            .add(Primitive::Cone { half_height: top, bottom: half[0], top: half[0], round: top * 0.3 })
            .at([0.0, height, 0.0]);
    } else {
        shape
            .add(Primitive::Box { half: [half[0], top, half[1]], round: top * dice.between(0.1, 0.8) })
            .at([0.0, height, 0.0]);
    }
    if round && dice.chance(0.6) {
        let stem = dice.between(0.025, 0.08);
        shape
            .add(Primitive::Cone {
                half_height: height * 0.5,
                bottom: stem,
                top: stem * dice.between(0.6, 1.2),
                round: 0.0,
            })
            .at([0.0, height * 0.5, 0.0])
            .slot(1);
        if dice.chance(0.5) {
            shape
                .add(Primitive::Cone { half_height: 0.03, bottom: half[0] * 0.6, top: half[0] * 0.4, round: 0.01 })
                .at([0.0, 0.03, 0.0])
                .slot(1);
        } else {
            for k in 0..dice.count(3, 4) {
                let (sin, cos) = (TAU * k as f32 / 4.0).sin_cos();
                shape
                    .add(Primitive::Limb {
                        from: [0.0, 0.1, 0.0],
                        to: [half[0] * 0.7 * cos, 0.02, half[0] * 0.7 * sin],
                        from_radius: 0.03,
                        to_radius: 0.02,
                    })
                    .slot(1);
            }
        }
    } else {
        let reach = if round { [half[0] * 0.7; 2] } else { half };
        legs(&mut shape, dice, reach, height, 1);
        if dice.chance(0.3) && !round {
            let deep = dice.between(0.04, 0.1);
            shape.add(board([half[0] * 0.92, deep, half[1] * 0.92])).at([0.0, height - deep, 0.0]).slot(2);
        }
        if dice.chance(0.25) && !round {
            let wide = half[0] * 0.3;
            shape.add(board([wide, height * 0.45, half[1] * 0.9])).at([half[0] - wide, height * 0.55, 0.0]).slot(2);
        }
        if dice.chance(0.2) {
            shape
                .add(board([reach[0] * 0.95, 0.015, reach[1] * 0.95]))
                .at([0.0, height * dice.between(0.2, 0.5), 0.0])
                .slot(2);
        }
    }
    for _ in 0..if dice.chance(0.75) { 0 } else { dice.count(1, 3) } {
        let size = dice.between(0.03, 0.1);
        let at = [dice.between(-0.6, 0.6) * half[0], height + top + size * 0.9, dice.between(-0.5, 0.5) * half[1]];
        let slot = dice.count(3, 6);
        if dice.chance(0.5) {
            shape
                .add(Primitive::Cone { half_height: size, bottom: size * 0.6, top: size * 0.5, round: 0.0 })
                .at(at)
                .slot(slot);
        } else {
            shape.add(board([size, size, size * 0.8])).at(at).slot(slot);
        }
    }
    shape
}

/// Chairs and armchairs, office chairs, thrones.
pub(super) fn chair(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let seat = dice.between(0.22, 0.42);
    let half = [dice.between(0.16, 0.26), dice.between(0.15, 0.25)];
    let top = dice.between(0.015, 0.06);
    let back = dice.between(0.2, 0.5);
    let soft = top * dice.between(0.1, 0.95);
    shape.add(Primitive::Box { half: [half[0], top, half[1]], round: soft }).at([0.0, seat, 0.0]);
    if dice.chance(0.15) {
        shape
            .add(Primitive::Cone { half_height: seat * 0.5, bottom: 0.03, top: 0.03, round: 0.0 })
            .at([0.0, seat * 0.5, 0.0])
            .slot(1);
        for k in 0..5 {
            let (sin, cos) = (TAU * k as f32 / 5.0).sin_cos();
            let foot = [half[0] * 1.1 * cos, 0.03, half[0] * 1.1 * sin];
            shape
                .add(Primitive::Limb { from: [0.0, 0.07, 0.0], to: foot, from_radius: 0.025, to_radius: 0.02 })
                .slot(1);
            shape.add(Primitive::Ellipsoid([0.03; 3])).at(foot).slot(2);
        }
    } else {
        legs(&mut shape, dice, half, seat, 1);
    }
    let lean = dice.between(0.0, 0.25);
    let tilt = turn(0, -lean);
    let rear = -half[1] + 0.02;
    let thick = dice.between(0.015, 0.05);
    let at = |y: f32, z: f32| [0.0, seat + y, rear + z - y * lean];
    match dice.below(4) {
        0 | 1 => {
            let wide = half[0] * dice.between(0.8, 1.0);
            shape
                .add(Primitive::Box { half: [wide, back * 0.5, thick], round: thick * dice.between(0.1, 0.95) })
                .turned(&tilt)
                .at(at(back * 0.5, 0.0))
                .slot(0);
        }
        2 => {
            let post = at(back, 0.0);
            let x = half[0] - thick;
            shape
                .add(Primitive::Limb {
                    from: [x, seat, rear],
                    to: [x, post[1], post[2]],
                    from_radius: thick * 0.8,
                    to_radius: thick * 0.7,
                })
                .mirrored()
                .slot(1);
            for k in 0..dice.count(1, 4) {
                let y = back * (1.0 - 0.22 * k as f32);
                let wide = dice.between(0.015, 0.05);
                shape.add(board([half[0] - thick, wide, thick * 0.5])).turned(&tilt).at(at(y - wide, 0.0)).slot(0);
            }
        }
        _ => {
            let count = dice.count(3, 6);
            for k in 0..count {
                let x = (k as f32 / (count - 1) as f32 - 0.5) * 2.0 * (half[0] - thick);
                let post = at(back, 0.0);
                shape
                    .add(Primitive::Limb {
                        from: [x, seat, rear],
                        to: [x, post[1], post[2]],
                        from_radius: thick * 0.5,
                        to_radius: thick * 0.5,
                    })
                    .slot(1);
            }
            shape.add(board([half[0], 0.04, thick])).turned(&tilt).at(at(back, 0.0)).slot(0);
        }
    }
    if dice.chance(0.35) {
        let y = seat + dice.between(0.1, 0.2);
        shape.add(board([thick, thick * 0.8, half[1] * 0.9])).at([half[0] - thick, y, 0.0]).mirrored().slot(2);
        shape
            .add(board([thick * 0.7, (y - seat) * 0.5, thick * 0.7]))
            .at([half[0] - thick, (y + seat) * 0.5, half[1] * 0.8])
            .mirrored()
            .slot(1);
    }
    if dice.chance(0.2) {
        shape
            .add(Primitive::Box { half: [half[0] * 0.9, 0.04, half[1] * 0.9], round: 0.035 })
            .at([0.0, seat + top + 0.02, 0.01])
            .slot(3);
    }
    shape
}

/// Sofas, armchairs, benches with cushions.
pub(super) fn sofa(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let (wide, deep) = (dice.between(0.2, 0.5), dice.between(0.16, 0.26));
    let seat = dice.between(0.08, 0.16);
    let round = dice.between(0.01, 0.06);
    let foot = if dice.chance(0.5) { dice.between(0.02, 0.08) } else { 0.0 };
    shape.add(Primitive::Box { half: [wide, seat * 0.5, deep], round: round.min(seat * 0.45) }).at([
        0.0,
        foot + seat * 0.5,
        0.0,
    ]);
    let back = dice.between(0.14, 0.34);
    let thick = dice.between(0.05, 0.1);
    let tilt = turn(0, -dice.between(0.0, 0.2));
    shape
        .add(Primitive::Box { half: [wide, (seat + back) * 0.5, thick], round: round.min(thick * 0.9) })
        .turned(&tilt)
        .at([0.0, foot + (seat + back) * 0.5, -deep + thick * 0.5]);
    if dice.chance(0.85) {
        let arm = seat + back * dice.between(0.2, 0.8);
        let side = dice.between(0.03, 0.09);
        shape
            .add(Primitive::Box { half: [side, arm * 0.5, deep], round: round.min(side * 0.9) })
            .at([wide, foot + arm * 0.5, 0.0])
            .mirrored()
            .slot(usize::from(dice.chance(0.3)));
    }
    let cushions = dice.count(1, 3);
    for k in 0..cushions {
        let half = wide / cushions as f32 * 0.96;
        let x = (2.0 * k as f32 + 1.0 - cushions as f32) * wide / cushions as f32;
        shape
            .add(Primitive::Box { half: [half, 0.04, deep * 0.8], round: 0.03 })
            .at([x, foot + seat + 0.025, deep * 0.15])
            .slot(2);
        if dice.chance(0.4) {
            shape
                .add(Primitive::Box { half: [half * 0.9, back * 0.4, 0.04], round: 0.035 })
                .turned(&tilt)
                .at([x, foot + seat + back * 0.5, -deep + thick * 1.6])
                .slot(3);
        }
    }
    if foot > 0.0 {
        for z in [deep * 0.8, -deep * 0.8] {
            shape
                .add(Primitive::Cone { half_height: foot, bottom: 0.018, top: 0.025, round: 0.0 })
                .at([wide * 0.9, foot, z])
                .mirrored()
                .slot(4);
        }
    }
    if dice.chance(0.15) {
        // An L.
        shape.add(Primitive::Box { half: [wide * 0.35, seat * 0.5, deep], round: round.min(seat * 0.45) }).at([
            wide * 0.65,
            foot + seat * 0.5,
            deep * 1.8,
        ]);
    }
    shape
}

/// Shelves, racks, crates, ladders: boards with air between them.
pub(super) fn shelf(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let half = [dice.between(0.15, 0.4), dice.between(0.15, 0.5), dice.between(0.06, 0.2)];
    let thick = dice.between(0.012, 0.035);
    let open_sides = dice.chance(0.3);
    if open_sides {
        for z in [half[2], -half[2]] {
            shape.add(board([thick, half[1], thick])).at([half[0], half[1], z]).mirrored();
        }
    } else {
        shape.add(board([thick, half[1], half[2]])).at([half[0], half[1], 0.0]).mirrored();
    }
    let boards = dice.count(2, 6);
    for k in 0..boards {
        let y = half[1] * 2.0 * (k as f32 + f32::from(open_sides) * 0.3) / (boards - 1) as f32;
        shape.add(board([half[0], thick, half[2]])).at([0.0, y.min(half[1] * 2.0), 0.0]).slot(1);
        if dice.chance(0.35) {
            for _ in 0..dice.count(1, 4) {
                let size = [
                    dice.between(0.015, 0.08),
                    dice.between(0.03, half[1] / boards as f32),
                    half[2] * dice.between(0.4, 0.9),
                ];
                let x = dice.between(-0.85, 0.85) * (half[0] - size[0]);
                let slot = dice.count(3, 7);
                shape.add(board(size)).at([x, y + thick + size[1], 0.0]).slot(slot);
            }
        }
    }
    if dice.chance(0.5) && !open_sides {
        shape.add(board([half[0], half[1], thick * 0.7])).at([0.0, half[1], -half[2]]).slot(2);
    }
    if dice.chance(0.3) {
        shape.add(board([thick, half[1], half[2]])).at([half[0] * dice.between(0.0, 0.5), half[1], 0.0]).slot(1);
    }
    shape
}

/// Cabinets, chests, ovens, fridges, boxes, computers, safes: a box with what is on its front.
pub(super) fn cabinet(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let half = [dice.between(0.12, 0.45), dice.between(0.1, 0.48), dice.between(0.1, 0.35)];
    let round = if dice.chance(0.6) { 0.006 } else { dice.between(0.01, 0.06) };
    shape.add(Primitive::Box { half, round }).at([0.0, half[1], 0.0]);
    let foot = if dice.chance(0.35) { dice.between(0.02, 0.12) } else { 0.0 };
    let (columns, rows) = (dice.count(1, 2), dice.count(1, 4));
    let depth = dice.between(0.006, 0.02);
    let panels = dice.below(4);
    for row in 0..rows {
        for column in 0..columns {
            let size = [half[0] / columns as f32 * 0.88, half[1] / rows as f32 * 0.88];
            let x = (2.0 * column as f32 + 1.0 - columns as f32) * half[0] / columns as f32;
            let y = (2.0 * row as f32 + 1.0) * half[1] / rows as f32;
            match panels {
                0 => {
                    shape.add(board([size[0], size[1], depth * 2.0])).at([x, y, half[2]]).cut().slot(2);
                }
                1 | 2 => {
                    shape.add(board([size[0], size[1], depth])).at([x, y, half[2]]).slot(1);
                }
                _ => {
                    shape.add(board([size[0], size[1], half[2] * 0.9])).at([x, y, half[2] * 0.25]).cut().slot(2);
                }
            }
            if dice.chance(0.7) {
                let knob = dice.between(0.012, 0.03);
                let wide = if dice.chance(0.5) { knob } else { size[0] * 0.4 };
                let z = if panels == 3 { half[2] * 1.2 } else { half[2] + depth + knob * 0.6 };
                if panels != 3 {
                    shape.next_group();
                    shape
                        .add(Primitive::Box { half: [wide, knob * 0.6, knob * 1.2], round: knob * 0.4 })
                        .at([x, y + size[1] * dice.between(-0.3, 0.8), z - knob * 0.5])
                        .slot(3);
                    shape.join_groups();
                }
            }
        }
    }
    shape.next_group();
    if dice.chance(0.4) {
        shape.add(board([half[0] * 1.06, 0.02, half[2] * 1.08])).at([0.0, half[1] * 2.0, 0.0]).slot(4);
    }
    if dice.chance(0.2) {
        shape
            .add(Primitive::Cone { half_height: half[0], bottom: half[2], top: half[2], round: 0.0 })
            .turned(&turn(2, FRAC_PI_2))
            .at([0.0, half[1] * 2.0, 0.0])
            .slot(0);
    }
    if dice.chance(0.15) {
        let size = dice.between(0.03, 0.1);
        shape
            .add(Primitive::Ring { major: half[0] * 0.5, minor: size * 0.25, half_angle: FRAC_PI_2 })
            .turned(&turn(2, FRAC_PI_2))
            .at([0.0, half[1] * 2.0, 0.0])
            .slot(3);
    }
    if foot > 0.0 {
        for z in [half[2] * 0.85, -half[2] * 0.85] {
            shape
                .add(Primitive::Cone { half_height: foot * 0.5, bottom: 0.02, top: 0.03, round: 0.0 })
                .at([half[0] * 0.85, -foot * 0.5 + 0.005, z])
                .mirrored()
                .slot(4);
        }
    }
    shape
}

/// Beds, cradles, stretchers.
pub(super) fn bed(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let (wide, long) = (dice.between(0.15, 0.35), dice.between(0.35, 0.5));
    let high = dice.between(0.06, 0.2);
    shape.add(board([wide, 0.04, long])).at([0.0, high, 0.0]);
    shape
        .add(Primitive::Box { half: [wide * 0.95, 0.05, long * 0.97], round: 0.03 })
        .at([0.0, high + 0.06, 0.0])
        .slot(1);
    let board_high = dice.between(0.1, 0.3);
    shape
        .add(Primitive::Box { half: [wide * 1.02, board_high, 0.02], round: 0.015 })
        .at([0.0, high * 0.5 + board_high * 0.6, -long])
        .slot(0);
    if dice.chance(0.6) {
        shape
            .add(Primitive::Box { half: [wide * 1.02, board_high * 0.6, 0.02], round: 0.015 })
            .at([0.0, high * 0.5 + board_high * 0.3, long])
            .slot(0);
    }
    let pillows = dice.count(1, 2);
    for k in 0..pillows {
        let x = (2.0 * k as f32 + 1.0 - pillows as f32) * wide / pillows as f32;
        shape
            .add(Primitive::Box { half: [wide * 0.8 / pillows as f32, 0.035, 0.08], round: 0.033 })
            .at([x, high + 0.13, -long * 0.78])
            .slot(2);
    }
    if dice.chance(0.7) {
        let cover = long * dice.between(0.4, 0.7);
        shape
            .add(Primitive::Box { half: [wide * 1.03, 0.07, cover], round: 0.03 })
            .at([0.0, high + 0.06, long - cover])
            .slot(3);
    }
    legs(&mut shape, dice, [wide, long], high, 0);
    shape
}

/// Lamps, lanterns, street lights, traffic lights, candlesticks.
pub(super) fn lamp(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let height = dice.between(0.2, 0.9);
    let pole = dice.log_between(0.012, 0.05);
    let base = dice.between(0.06, 0.22);
    shape
        .add(Primitive::Cone { half_height: 0.025, bottom: base, top: base * dice.between(0.4, 1.0), round: 0.005 })
        .at([0.0, 0.025, 0.0]);
    let shade = dice.between(0.07, 0.25);
    let tall = shade * dice.between(0.5, 1.3);
    let arm = if dice.chance(0.35) { dice.between(0.1, 0.3) } else { 0.0 };
    let top = [arm, height, 0.0];
    if arm > 0.0 && dice.chance(0.5) {
        let elbow = [-arm * 0.5, height * 0.6, 0.0];
        shape.add(Primitive::Limb { from: [0.0; 3], to: elbow, from_radius: pole, to_radius: pole }).slot(1);
        shape.add(Primitive::Limb { from: elbow, to: top, from_radius: pole, to_radius: pole }).slot(1);
    } else {
        shape
            .add(Primitive::Limb { from: [0.0; 3], to: [0.0, height, 0.0], from_radius: pole, to_radius: pole })
            .slot(1);
        shape.add(Primitive::Limb { from: [0.0, height, 0.0], to: top, from_radius: pole, to_radius: pole }).slot(1);
    }
    shape.next_group();
    match dice.below(4) {
        0 | 1 => {
            let narrow = dice.between(0.3, 1.0);
            shape
                .add(Primitive::Cone { half_height: tall * 0.5, bottom: shade, top: shade * narrow, round: 0.0 })
                .at(top)
                .slot(2);
            if dice.chance(0.6) {
                let wall = 0.02;
                shape
                    .add(Primitive::Cone {
                        half_height: tall * 0.5,
                        bottom: shade - wall,
                        top: (shade * narrow - wall).max(0.01),
                        round: 0.0,
                    })
                    .at(top)
                    .at([0.0, -wall, 0.0])
                    .cut()
                    .slot(3);
                shape.next_group();
                shape.add(Primitive::Ellipsoid([shade * 0.3; 3])).at(top).slot(4);
            }
        }
        2 => {
            shape.add(Primitive::Ellipsoid([shade * 0.8, tall * 0.6, shade * 0.8])).at(top).slot(2);
        }
        _ => {
            let half = [shade * 0.5, tall * 0.6, shade * 0.5];
            shape.add(board(half)).at(top).slot(2);
            shape
                .add(Primitive::Cone { half_height: tall * 0.25, bottom: shade * 0.9, top: 0.01, round: 0.0 })
                .at(top)
                .at([0.0, tall * 0.8, 0.0])
                .slot(1);
        }
    }
    shape
}
