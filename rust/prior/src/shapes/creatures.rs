//! Living things of limbs and bodies: front towards +Z, the same on both sides.

use super::dice::Dice;
use super::primitives::Primitive;
use super::shape::Shape;
use super::vector::{Vec3, add, mix, times, turn};

/// A chain of limbs through `points`; one of both sides where `pair`.
fn chain(shape: &mut Shape, points: &[Vec3], radii: &[f32], blend: f32, slot: usize, pair: bool) {
    for index in 1..points.len() {
        let part = shape.add(Primitive::Limb {
            from: points[index - 1],
            to: points[index],
            from_radius: radii[index - 1],
            to_radius: radii[index],
        });
        part.blend(blend).slot(slot);
        if pair {
            part.mirrored();
        }
    }
}

/// A head at `at` looking forwards and slightly down, with snout, ears or horns, and eyes; `size` is its radius.
fn head(shape: &mut Shape, dice: &mut Dice, at: Vec3, size: f32, animal: bool) {
    let blend = size * 0.3;
    let long = if animal { dice.between(0.9, 1.3) } else { dice.between(0.85, 1.1) };
    shape.add(Primitive::Ellipsoid([size * dice.between(0.75, 1.0), size, size * long])).at(at).blend(blend).slot(0);
    if animal {
        let reach = size * dice.between(0.6, 1.9);
        let thick = size * dice.between(0.3, 0.65);
        let tip = add(at, [0.0, -size * dice.between(0.1, 0.5), size * 0.5 + reach]);
        let slot = if dice.chance(0.5) { 0 } else { 2 };
        chain(shape, &[add(at, [0.0, -0.15 * size, 0.2 * size]), tip], &[thick * 1.3, thick], blend, slot, false);
        shape.paint_pair(add(tip, [0.0, thick * 0.3, thick * 0.8]), thick * 0.45, 3);
    }
    let ear = size * dice.between(0.4, 1.4);
    let root = add(at, [size * 0.6, size * 0.6, -size * 0.1]);
    match dice.below(6) {
        0 | 1 => {
            let spread = dice.between(0.1, 0.9);
            let tip = add(root, [ear * spread, ear, -ear * dice.between(-0.2, 0.5)]);
            chain(shape, &[root, tip], &[size * 0.3, size * 0.08], size * 0.1, 1, true);
        }
        2 => {
            let flat = [size * 0.35, ear * 0.6, size * 0.1];
            let lean = turn(2, -dice.between(0.0, 1.4));
            shape
                .add(Primitive::Ellipsoid(flat))
                .turned(&lean)
                .at(add(root, [ear * 0.3, ear * 0.3, 0.0]))
                .mirrored()
                .slot(1);
        }
        3 if animal => {
            let mid = add(root, [ear * 0.6, ear * 0.4, 0.0]);
            let tip = add(mid, [ear * dice.between(-0.3, 0.3), ear * 0.8, ear * dice.between(-0.3, 0.5)]);
            chain(shape, &[root, mid, tip], &[size * 0.18, size * 0.14, size * 0.04], 0.0, 4, true);
        }
        _ => {}
    }
    let eye = size * dice.between(0.12, 0.24);
    shape.paint_pair(add(at, [size * 0.45, size * 0.25, size * long * 0.8]), eye, 3);
}

/// Dogs, cows, horses, giraffes, pigs.
pub(super) fn quadruped(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let length = dice.between(0.22, 0.42);
    let leg = dice.between(0.1, 0.42);
    let thick = dice.between(0.08, 0.2);
    let chest = thick * dice.between(0.85, 1.25);
    let blend = dice.between(0.03, 0.1);
    let front = [0.0, leg + chest * 0.3, length * 0.5];
    let back = [0.0, leg + thick * 0.3 + dice.between(-0.05, 0.05), -length * 0.5];
    chain(
        &mut shape,
        &[back, mix(back, front, 0.5), front],
        &[thick, thick * dice.between(0.85, 1.1), chest],
        blend,
        0,
        false,
    );
    let leg_radius = thick * dice.between(0.18, 0.45);
    let legs_slot = usize::from(dice.chance(0.5));
    for (root, sign) in [(front, 1.0), (back, -1.0)] {
        let out = thick * dice.between(0.5, 0.85);
        let swing = dice.between(-0.08, 0.08);
        let hip = add(root, [out, -thick * 0.3, 0.0]);
        let knee = [hip[0], leg * dice.between(0.4, 0.6), hip[2] + swing * 0.6 + sign * dice.between(-0.04, 0.02)];
        let foot = [hip[0] + dice.between(-0.01, 0.02), 0.0, hip[2] + swing];
        let radii = [leg_radius * dice.between(1.1, 2.0), leg_radius, leg_radius * dice.between(0.6, 1.0)];
        chain(&mut shape, &[hip, knee, foot], &radii, blend * 0.6, legs_slot, true);
        if dice.chance(0.6) {
            let toe = add(foot, [0.0, 0.0, leg_radius * dice.between(0.5, 1.6)]);
            chain(&mut shape, &[foot, toe], &[leg_radius * 0.9, leg_radius * 0.7], 0.01, 4, true);
        }
    }
    let neck = dice.log_between(0.05, 0.4);
    let up = dice.between(0.1, 1.0);
    let size = dice.between(0.07, 0.16);
    let skull = add(front, [0.0, chest * 0.5 + neck * up, chest * 0.5 + neck * (1.0 - up * up * 0.8)]);
    chain(&mut shape, &[front, skull], &[chest * 0.75, size * dice.between(0.5, 0.9)], blend, 0, false);
    head(&mut shape, dice, skull, size, true);
    if dice.chance(0.85) {
        let tail = dice.between(0.08, 0.4);
        let rise = dice.between(-1.0, 1.0);
        let root = add(back, [0.0, thick * 0.5, -thick * 0.7]);
        let mid = add(root, [0.0, tail * 0.5 * rise, -tail * 0.5]);
        let tip = add(mid, [0.0, tail * 0.5 * dice.between(-1.0, 1.0), -tail * dice.between(0.0, 0.5)]);
        let bushy = dice.between(0.3, 2.0);
        let radius = leg_radius * 0.6;
        chain(&mut shape, &[root, mid, tip], &[radius, radius * bushy, radius * 0.5 * bushy], 0.02, 1, false);
    }
    if dice.chance(0.15) {
        shape
            .add(Primitive::Ellipsoid([chest * 0.5, chest, chest * 0.9]))
            .at(skull)
            .at([0.0, -size * 0.6, -size * 0.6])
            .blend(0.05)
            .slot(2);
    }
    shape
}

/// People, robots and upright animals.
pub(super) fn biped(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let robot = dice.chance(0.25);
    let stocky = dice.between(0.6, 1.7);
    let leg = dice.between(0.08, 0.42);
    let torso = dice.between(0.15, 0.32);
    let shoulder = dice.between(0.07, 0.14) * stocky;
    let hip = shoulder * dice.between(0.6, 1.1);
    let limb = dice.between(0.028, 0.05) * stocky;
    let blend = if robot { 0.0 } else { dice.between(0.01, 0.05) };
    let (low, high) = ([0.0, leg, 0.0], [0.0, leg + torso, 0.0]);
    let deep = dice.between(0.5, 0.9);
    if robot || dice.chance(0.3) {
        let half = [shoulder, torso * 0.55, shoulder * deep];
        let round = if robot { dice.between(0.01, 0.04) } else { shoulder * 0.45 };
        shape.add(Primitive::Box { half, round: round.min(half[2] * 0.9) }).at(mix(low, high, 0.5)).slot(1);
    } else {
        shape
            .add(Primitive::Ellipsoid([shoulder, torso * 0.45, shoulder * deep]))
            .at(mix(low, high, 0.75))
            .blend(blend)
            .slot(1);
        shape
            .add(Primitive::Ellipsoid([hip, torso * 0.5, hip * deep * 1.1]))
            .at(mix(low, high, 0.25))
            .blend(blend * 2.0)
            .slot(if dice.chance(0.5) { 1 } else { 2 });
    }
    let apart = hip * dice.between(0.45, 0.8);
    let (step, spread) = (dice.between(-0.08, 0.08) * f32::from(dice.chance(0.4)), dice.between(0.0, 0.06));
    for side in [1.0, -1.0] {
        let top = [side * apart, leg * 1.02, 0.0];
        let knee = [side * (apart + spread * 0.6), leg * 0.5, side * step * 0.7 + 0.01];
        let foot = [side * (apart + spread), limb * 0.8, side * step];
        chain(&mut shape, &[top, knee, foot], &[limb * 1.4, limb * 1.1, limb * 0.9], blend, 2, false);
        let toe = add(foot, [side * 0.01, -limb * 0.1, limb * dice.between(1.2, 2.4)]);
        chain(&mut shape, &[foot, toe], &[limb, limb * 0.8], blend, 3, false);
    }
    let arm = (leg + torso) * dice.between(0.35, 0.55);
    let pose = dice.below(4);
    let raise: [f32; 2] = match pose {
        0 => [dice.between(0.0, 0.35); 2],
        1 => [std::f32::consts::FRAC_PI_2 * dice.between(0.8, 1.05); 2],
        2 => [dice.between(0.0, 0.5), dice.between(0.0, 2.9)],
        _ => [dice.between(0.2, 1.4); 2],
    };
    let (bend, forth) = (dice.between(0.0, 1.0) * f32::from(dice.chance(0.5)), dice.between(-0.1, 0.5));
    for (side, raise) in [(1.0, raise[0]), (-1.0, raise[1])] {
        let socket = add(high, [side * (shoulder + limb * 0.4), -limb * 1.2, 0.0]);
        let (sin, cos) = raise.sin_cos();
        let elbow = add(socket, [side * sin * arm * 0.5, -cos * arm * 0.5, forth * arm * 0.2]);
        let (sin, cos) = (raise - bend * 0.6).sin_cos();
        let hand = add(
            elbow,
            [side * sin * arm * 0.5, -cos * arm * 0.5 * (1.0 - 0.5 * bend), (forth * 0.3 + bend * 0.8) * arm * 0.5],
        );
        chain(
            &mut shape,
            &[socket, elbow, hand],
            &[limb * 1.1, limb * 0.9, limb * 0.75],
            blend,
            if robot { 2 } else { 1 },
            false,
        );
        shape.add(Primitive::Ellipsoid([limb * 1.1, limb * 1.3, limb * 1.1])).at(hand).blend(blend).slot(0);
        if side > 0.0 && dice.chance(0.12) {
            let long = dice.between(0.2, 0.5);
            chain(
                &mut shape,
                &[add(hand, [0.0, -long * 0.3, 0.0]), add(hand, [0.0, long * 0.7, 0.05])],
                &[0.015, 0.02],
                0.0,
                5,
                false,
            );
        }
    }
    let size = dice.between(0.07, 0.17);
    let neck = size * dice.between(0.0, 0.5);
    let skull = add(high, [0.0, neck + size * 0.8, size * 0.1]);
    chain(&mut shape, &[high, skull], &[limb * 1.2, limb * 1.2], blend, 0, false);
    if robot && dice.chance(0.6) {
        shape
            .add(Primitive::Box { half: [size, size * 0.8, size * 0.8], round: size * dice.between(0.05, 0.6) })
            .at(skull)
            .slot(0);
        shape.paint_pair(add(skull, [size * 0.4, 0.1 * size, size * 0.8]), size * 0.22, 3);
    } else {
        let animal = dice.chance(0.3);
        head(&mut shape, dice, skull, size, animal);
        match dice.below(5) {
            0 => {
                let brim = size * dice.between(1.0, 1.8);
                let at = add(skull, [0.0, size * 0.6, 0.0]);
                shape
                    .add(Primitive::Cone { half_height: size * 0.08, bottom: brim, top: brim, round: 0.0 })
                    .at(at)
                    .slot(4);
                let tall = size * dice.between(0.3, 1.2);
                shape
                    .add(Primitive::Cone {
                        half_height: tall,
                        bottom: size * 0.85,
                        top: size * dice.between(0.1, 0.9),
                        round: 0.0,
                    })
                    .at(add(at, [0.0, tall, 0.0]))
                    .slot(4);
            }
            1 | 2 => {
                let hair = size * dice.between(1.02, 1.2);
                shape
                    .add(Primitive::Ellipsoid([hair * 0.95, hair, hair]))
                    .at(add(skull, [0.0, size * 0.15, -size * 0.2]))
                    .slot(5);
            }
            _ => {}
        }
    }
    if dice.chance(0.15) {
        let skirt = hip * dice.between(1.2, 2.4);
        shape
            .add(Primitive::Cone { half_height: leg * 0.4, bottom: skirt, top: hip, round: 0.01 })
            .at([0.0, leg * 0.75, 0.0])
            .slot(4);
    }
    if dice.chance(0.12) {
        shape
            .add(Primitive::Box { half: [shoulder * 0.8, torso * 0.4, shoulder * 0.4], round: shoulder * 0.2 })
            .at([0.0, leg + torso * 0.55, -shoulder * (deep + 0.2)])
            .slot(5);
    }
    shape
}

/// Insects, spiders, crabs, octopuses.
pub(super) fn many_legged(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let blend = dice.between(0.0, 0.04);
    let high = dice.between(0.06, 0.2);
    let body = dice.between(0.08, 0.16);
    let segments = dice.count(1, 3);
    let mut z = 0.0;
    for segment in 0..segments {
        let size = body * dice.between(0.7, 1.4);
        let flat = dice.between(0.5, 1.0);
        shape
            .add(Primitive::Ellipsoid([size, size * flat, size * dice.between(0.9, 1.6)]))
            .at([0.0, high, z])
            .blend(blend * 2.0)
            .slot(segment % 2);
        z -= size * 1.5;
    }
    let pairs = dice.count(3, 5);
    let reach = dice.between(0.15, 0.4);
    let thin = dice.log_between(0.01, 0.035);
    let knee_high = high + dice.between(-0.02, 0.18);
    for pair in 0..pairs {
        let t = (pair as f32 + 0.5) / pairs as f32 - 0.5;
        let angle = t * dice.between(1.6, 2.4);
        let (sin, cos) = angle.sin_cos();
        let root = [body * 0.5 * cos, high, body * sin];
        let knee = [root[0] + reach * 0.5 * cos, knee_high, root[2] + reach * 0.5 * sin];
        let foot = [root[0] + reach * cos, 0.0, root[2] + reach * sin];
        chain(&mut shape, &[root, knee, foot], &[thin * 1.3, thin, thin * 0.5], blend, 2, true);
    }
    if dice.chance(0.4) {
        let claw = [body * 1.2, high, body + reach * 0.6];
        chain(&mut shape, &[[body * 0.6, high, body * 0.6], claw], &[thin * 1.4, thin * 1.6], blend, 0, true);
        let size = dice.between(0.04, 0.09);
        shape
            .add(Primitive::Ellipsoid([size * 0.7, size * 0.5, size * 1.2]))
            .at(claw)
            .at([0.0, 0.0, size])
            .mirrored()
            .blend(0.01)
            .slot(0);
    }
    if dice.chance(0.35) {
        let tail = dice.between(0.15, 0.4);
        let root = [0.0, high, z + body];
        let points = [
            root,
            add(root, [0.0, tail * 0.1, -tail * 0.6]),
            add(root, [0.0, tail * 0.7, -tail * 0.8]),
            add(root, [0.0, tail, -tail * 0.2]),
        ];
        chain(&mut shape, &points, &[body * 0.5, body * 0.35, body * 0.28, thin], blend, 0, false);
    }
    if dice.chance(0.25) {
        let wing = [dice.between(0.15, 0.3), 0.012, dice.between(0.06, 0.12)];
        let lean = times(&turn(1, dice.between(-0.3, 0.8)), &turn(2, dice.between(0.0, 0.7)));
        shape.next_group();
        shape
            .add(Primitive::Ellipsoid(wing))
            .turned(&lean)
            .at([wing[0] * 0.8, high + body * 0.8, -0.02])
            .mirrored()
            .slot(4);
    }
    shape.paint_pair([body * 0.4, high + body * 0.4, body], body * 0.3, 3);
    if dice.chance(0.4) {
        let tip = [body * 0.8, high + body * dice.between(0.5, 2.0), body * dice.between(1.5, 3.0)];
        chain(&mut shape, &[[body * 0.3, high + 0.02, body * 0.8], tip], &[thin * 0.7, thin * 0.5], 0.0, 2, true);
    }
    shape
}

/// Birds, winged dragons, ducks, penguins.
pub(super) fn bird(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let upright = dice.between(0.1, 1.3);
    let body = dice.between(0.1, 0.17);
    let long = body * dice.between(1.1, 1.9);
    let leg = if dice.chance(0.3) { 0.0 } else { dice.between(0.04, 0.25) };
    let center = [0.0, leg + body, 0.0];
    let blend = dice.between(0.02, 0.06);
    shape.add(Primitive::Ellipsoid([body, body, long])).turned(&turn(0, -upright)).at(center).blend(blend).slot(0);
    let size = body * dice.between(0.45, 0.8);
    let neck = dice.between(0.02, 0.25);
    let chest = add(center, [0.0, long * 0.6 * upright.sin(), long * 0.6 * upright.cos()]);
    let skull = add(chest, [0.0, neck + size * 0.4, neck * dice.between(0.0, 0.6)]);
    chain(&mut shape, &[chest, skull], &[size * 0.9, size * 0.7], blend, 0, false);
    shape.add(Primitive::Ellipsoid([size * 0.9, size, size])).at(skull).blend(blend).slot(0);
    let beak = size * dice.between(0.6, 2.0);
    let flat = dice.between(0.15, 0.35);
    chain(
        &mut shape,
        &[add(skull, [0.0, -size * 0.1, size * 0.6]), add(skull, [0.0, -size * 0.25, size * 0.8 + beak])],
        &[size * flat * 1.4, size * flat * 0.5],
        0.0,
        2,
        false,
    );
    shape.paint_pair(add(skull, [size * 0.6, size * 0.25, size * 0.6]), size * 0.25, 3);
    let spread = dice.chance(0.5);
    if spread {
        let span = dice.between(0.2, 0.42);
        let (rise, sweep) = (dice.between(-0.3, 0.8), dice.between(-0.5, 0.2));
        let thick = dice.between(0.012, 0.025);
        let turned = times(&turn(2, rise), &turn(1, -sweep));
        let half = [span * 0.55, thick, span * dice.between(0.25, 0.45)];
        shape
            .add(Primitive::Ellipsoid(half))
            .turned(&turned)
            .at(add(center, [span * 0.5 * rise.cos(), body * 0.4 + span * 0.5 * rise.sin(), -0.02]))
            .mirrored()
            .blend(0.02)
            .slot(1);
    } else {
        shape
            .add(Primitive::Ellipsoid([body * 0.25, body * 0.7, long * 0.85]))
            .turned(&turn(0, -upright))
            .at(add(center, [body * 0.85, 0.0, -long * 0.15]))
            .mirrored()
            .blend(0.01)
            .slot(1);
    }
    let tail = dice.between(0.06, 0.25);
    let root = add(center, [0.0, -long * 0.7 * upright.sin(), -long * 0.7 * upright.cos()]);
    let fan = [dice.between(0.03, 0.1), 0.015, tail];
    shape
        .add(Primitive::Ellipsoid(fan))
        .turned(&turn(0, -dice.between(-0.6, 0.8)))
        .at(add(root, [0.0, 0.0, -tail * 0.5]))
        .blend(0.02)
        .slot(1);
    if leg > 0.0 {
        let thin = dice.between(0.012, 0.03);
        let foot = [body * 0.45, thin, 0.02];
        chain(&mut shape, &[[body * 0.4, leg + body * 0.4, 0.0], foot], &[thin * 1.3, thin], 0.01, 2, true);
        chain(&mut shape, &[foot, add(foot, [0.015, 0.0, 0.06])], &[thin, thin * 0.8], 0.01, 2, true);
    }
    shape
}

/// Fish, whales, sharks, submarines with fins.
pub(super) fn fish(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let length = 0.4;
    let tall = dice.between(0.1, 0.26);
    let wide = tall * dice.between(0.35, 1.1);
    let blend = dice.between(0.02, 0.06);
    shape
        .add(Primitive::Ellipsoid([wide, tall, length * dice.between(0.6, 0.85)]))
        .at([0.0, 0.0, 0.1])
        .blend(blend)
        .slot(0);
    let tail = [0.0, dice.between(-0.03, 0.08), -length];
    chain(&mut shape, &[[0.0; 3], tail], &[wide.min(tall) * 0.8, 0.03], blend * 2.0, 0, false);
    let fluke = dice.between(0.08, 0.2);
    let thin = dice.between(0.014, 0.03);
    let flat = dice.chance(0.25);
    for side in [1.0, -1.0] {
        let tip = add(
            tail,
            if flat { [side * fluke, 0.0, -fluke * 0.8] } else { [0.0, side * fluke, -fluke * dice.between(0.4, 0.9)] },
        );
        chain(&mut shape, &[tail, mix(tail, tip, 0.5), tip], &[thin * 1.2, thin * 1.8, thin], 0.03, 1, false);
    }
    let fin = dice.between(0.05, 0.2);
    chain(
        &mut shape,
        &[[0.0, tall * 0.8, 0.12], [0.0, tall + fin * 0.6, -fin * 0.4]],
        &[thin * 2.0, thin * 0.8],
        0.03,
        1,
        false,
    );
    chain(
        &mut shape,
        &[[0.0, tall * 0.7, -0.05], [0.0, tall * 0.7 + fin * 0.7, -fin]],
        &[thin * 1.6, thin * 0.8],
        0.03,
        1,
        false,
    );
    let side_fin = dice.between(0.06, 0.22);
    let root = [wide * 0.8, -tall * 0.3, 0.2];
    chain(
        &mut shape,
        &[root, add(root, [side_fin * 0.7, -side_fin * dice.between(-0.2, 0.7), -side_fin * 0.7])],
        &[thin * 1.8, thin * 0.9],
        0.02,
        1,
        true,
    );
    shape.paint_pair([wide * 0.7, tall * 0.25, 0.32], 0.035, 3);
    if dice.chance(0.3) {
        shape
            .add(Primitive::Ellipsoid([wide * 1.5, tall * 0.12, 0.1]))
            .at([0.0, -tall * 0.25, 0.1 + length * 0.7])
            .cut()
            .slot(2);
    }
    shape
}

/// Snakes, worms, trunks, ropes and tentacles: one long bent tube, or several.
pub(super) fn snake(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let arms = if dice.chance(0.6) { 1 } else { dice.count(3, 7) };
    let radius = dice.log_between(0.025, 0.08);
    for arm in 0..arms {
        let mut at = [0.0, 0.0, 0.0];
        let mut heading = std::f32::consts::TAU * arm as f32 / arms as f32;
        let mut pitch = dice.between(-0.3, 0.6);
        let pieces = dice.count(6, 10);
        let curl = dice.between(-0.6, 0.6);
        for piece in 0..pieces {
            let (sin, cos) = heading.sin_cos();
            let step = 0.11;
            let next = add(at, [step * sin * pitch.cos(), step * pitch.sin(), step * cos * pitch.cos()]);
            let taper = |k: usize| radius * (1.05 - k as f32 / pieces as f32);
            shape
                .add(Primitive::Limb { from: at, to: next, from_radius: taper(piece), to_radius: taper(piece + 1) })
                .blend(0.01)
                .slot(piece % 2);
            at = next;
            heading += curl + dice.between(-0.5, 0.5);
            pitch = pitch * 0.7 + dice.between(-0.4, 0.4);
        }
    }
    let size = radius * dice.between(1.2, 3.0);
    shape.add(Primitive::Ellipsoid([size, size * 0.8, size * 1.2])).at([0.0; 3]).blend(radius).slot(2);
    shape.paint_pair([size * 0.6, size * 0.5, size * 0.7], size * 0.3, 3);
    shape
}
