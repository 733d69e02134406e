//! Trees, leaves, mushrooms, fruit, cacti.

use std::f32::consts::TAU;

use super::dice::Dice;
use super::primitives::{Outline, Primitive};
use super::shape::Shape;
use super::solids::ripples;
use super::vector::{Vec3, add, times, turn};

/// A pot at the origin, sometimes; returns the height from which to grow.
fn pot(shape: &mut Shape, dice: &mut Dice, share: f32) -> f32 {
    if !dice.chance(share) {
        return 0.0;
    }
    let (high, wide) = (dice.between(0.06, 0.16), dice.between(0.08, 0.2));
    shape
        .add(Primitive::Cone { half_height: high, bottom: wide * dice.between(0.6, 1.0), top: wide, round: 0.01 })
        .at([0.0, high, 0.0])
        .slot(3);
    high * 1.9
}

/// Trees with crowns of balls, of cones, or of palm leaves; bushes; bare trees.
pub(super) fn tree(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let ground = pot(&mut shape, dice, 0.12);
    let trunk = dice.between(0.1, 0.5);
    let thick = dice.between(0.02, 0.07);
    let lean = [dice.between(-0.08, 0.08), 0.0, dice.between(-0.08, 0.08)];
    let top: Vec3 = add([0.0, ground + trunk, 0.0], lean);
    shape
        .add(Primitive::Limb {
            from: [0.0, ground, 0.0],
            to: top,
            from_radius: thick * dice.between(1.0, 1.8),
            to_radius: thick,
        })
        .slot(0);
    shape.next_group();
    let crown = dice.between(0.12, 0.34);
    match dice.below(5) {
        0 => {
            // Conifer.
            let tiers = dice.count(1, 5);
            let sides = if dice.chance(0.5) { 0 } else { dice.count(4, 8) };
            let mut y = top[1] - 0.03;
            for tier in 0..tiers {
                let size = crown * (1.0 - 0.7 * tier as f32 / tiers as f32);
                let high = dice.between(0.7, 1.3) * crown * 1.6 / (tiers as f32).sqrt();
                let outline = Outline::polygon(&[[-0.1, 0.0], [size, 0.0], [0.004, high], [-0.1, high]]);
                shape
                    .add(Primitive::Lathe { outline, sides })
                    .turned(&turn(1, dice.between(0.0, TAU)))
                    .at([top[0], y, top[2]])
                    .slot(1);
                y += high * dice.between(0.45, 0.7);
            }
        }
        1 => {
            // Palm.
            let leaves = dice.count(5, 9);
            let long = dice.between(0.2, 0.36);
            let droop = dice.between(0.1, 0.9);
            for leaf in 0..leaves {
                let yaw = turn(1, TAU * leaf as f32 / leaves as f32 + dice.between(-0.2, 0.2));
                let bent = times(&yaw, &turn(2, -droop * dice.between(0.6, 1.2)));
                let half = [long * 0.5, 0.014, dice.between(0.03, 0.06)];
                let at = super::vector::apply(&bent, [long * 0.45, 0.0, 0.0]);
                shape.add(Primitive::Ellipsoid(half)).turned(&bent).at(add(top, at)).slot(1);
            }
        }
        2 => {
            // Branches with balls at their ends.
            for _ in 0..dice.count(3, 6) {
                let (sin, cos) = dice.between(0.0, TAU).sin_cos();
                let reach = crown * dice.between(0.5, 1.2);
                let tip = add(top, [reach * cos, crown * dice.between(0.1, 1.0), reach * sin]);
                shape
                    .add(Primitive::Limb { from: top, to: tip, from_radius: thick * 0.8, to_radius: thick * 0.5 })
                    .slot(0);
                if dice.chance(0.75) {
                    let size = crown * dice.between(0.3, 0.7);
                    shape.add(Primitive::Ellipsoid([size, size * dice.between(0.6, 1.0), size])).at(tip).slot(1);
                }
            }
        }
        _ => {
            // One crown of melted balls.
            let tall = dice.between(0.7, 1.6);
            let center = add(top, [0.0, crown * tall * 0.6, 0.0]);
            shape.add(Primitive::Ellipsoid([crown, crown * tall, crown])).at(center).slot(1);
            for _ in 0..dice.count(0, 6) {
                let d = dice.direction();
                let size = crown * dice.between(0.35, 0.7);
                let at = add(center, [d[0] * crown * 0.8, d[1] * crown * tall * 0.7, d[2] * crown * 0.8]);
                shape.add(Primitive::Ellipsoid([size; 3])).at(at).blend(0.04).slot(if dice.chance(0.5) {
                    1
                } else {
                    2
                });
            }
        }
    }
    if dice.chance(0.3) {
        for _ in 0..dice.count(3, 8) {
            let d = dice.direction();
            shape.decals.push(super::Decal {
                center: add(top, [d[0] * crown, crown * (0.6 + d[1]), d[2] * crown]),
                radius: 0.05,
                slot: 4,
            });
        }
    }
    shape.ripples = ripples(dice, 0.4, 0.02);
    shape
}

/// Grass, flowers, corn, potted plants: leaves and stalks from one root.
pub(super) fn leaves(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let ground = pot(&mut shape, dice, 0.45);
    let count = dice.count(3, 12);
    let thick = dice.log_between(0.012, 0.035);
    let long = dice.between(0.2, 0.5);
    for leaf in 0..count {
        let yaw = TAU * leaf as f32 / count as f32 + dice.between(-0.4, 0.4);
        let (sin, cos) = yaw.sin_cos();
        let out = long * dice.between(0.05, 0.8);
        let up = long * dice.between(0.4, 1.1);
        let from = [0.03 * cos, ground, 0.03 * sin];
        let mid = [out * 0.4 * cos, ground + up * 0.7, out * 0.4 * sin];
        let tip = [out * cos, ground + up * dice.between(0.7, 1.0), out * sin];
        if dice.chance(0.6) {
            let half = [thick * dice.between(1.5, 3.0), up * 0.55, thick * 0.5];
            let bent = times(&turn(1, -yaw + std::f32::consts::FRAC_PI_2), &turn(0, dice.between(0.1, 0.9)));
            shape.add(Primitive::Ellipsoid(half)).turned(&bent).at([mid[0], ground + up * 0.45, mid[2]]).slot(1);
        } else {
            shape.add(Primitive::Limb { from, to: mid, from_radius: thick, to_radius: thick * 0.8 }).slot(1);
            shape.add(Primitive::Limb { from: mid, to: tip, from_radius: thick * 0.8, to_radius: thick * 0.4 }).slot(1);
            if dice.chance(0.4) {
                let bloom = dice.between(0.03, 0.08);
                shape.add(Primitive::Ellipsoid([bloom, bloom * dice.between(0.4, 1.2), bloom])).at(tip).slot(4);
            }
        }
    }
    shape.add(Primitive::Ellipsoid([0.06, 0.05, 0.06])).at([0.0, ground, 0.0]).slot(2);
    shape
}

/// Mushrooms, umbrellas, parasols.
pub(super) fn mushroom(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    for index in 0..if dice.chance(0.7) { 1 } else { dice.count(2, 4) } {
        let scale = if index == 0 { 1.0 } else { dice.between(0.3, 0.7) };
        let (sin, cos) = dice.between(0.0, TAU).sin_cos();
        let away = if index == 0 { 0.0 } else { dice.between(0.15, 0.3) };
        let at = [away * cos, 0.0, away * sin];
        let stem = dice.between(0.15, 0.6) * scale;
        let thick = dice.log_between(0.015, 0.14) * scale;
        let cap = dice.between(0.15, 0.4) * scale;
        let high = cap * dice.between(0.3, 1.1);
        shape.next_group();
        shape.add(Primitive::Ellipsoid([cap, high, cap])).at(add(at, [0.0, stem, 0.0])).slot(0);
        let under = cap * dice.between(0.0, 0.5);
        shape
            .add(Primitive::Ellipsoid([cap * 1.3, high * 0.7 + under * 0.3, cap * 1.3]))
            .at(add(at, [0.0, stem - high * 0.8, 0.0]))
            .cut()
            .blend(0.01)
            .slot(1);
        shape.next_group();
        let top = add(at, [dice.between(-0.03, 0.03), stem + high * 0.5, 0.0]);
        shape
            .add(Primitive::Limb { from: at, to: top, from_radius: thick * dice.between(1.0, 1.6), to_radius: thick })
            .slot(1);
        for _ in 0..dice.count(0, 5) {
            let d = dice.direction();
            shape.decals.push(super::Decal {
                center: add(at, [d[0] * cap * 0.8, stem + high * 0.7, d[2] * cap * 0.8]),
                radius: cap * 0.2,
                slot: 2,
            });
        }
    }
    shape
}

/// Apples, pears, pumpkins, bananas, carrots, pineapples.
pub(super) fn fruit(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let size = 0.3;
    let top;
    match dice.below(5) {
        0 => {
            // Round, with a dimple.
            let squash = dice.between(0.7, 1.25);
            top = size * squash * 0.85;
            shape.add(Primitive::Ellipsoid([size, size * squash, size]));
            shape
                .add(Primitive::Ellipsoid([size * 0.3, size * 0.35, size * 0.3]))
                .at([0.0, size * squash * 1.1, 0.0])
                .cut()
                .blend(0.12);
        }
        1 => {
            // Pear, gourd, aubergine.
            let neck = dice.between(0.4, 0.8);
            top = size * (0.9 + neck);
            shape.add(Primitive::Ellipsoid([size, size * 0.9, size]));
            shape
                .add(Primitive::Ellipsoid([size * 0.5, size * 0.6, size * 0.5]))
                .at([dice.between(-0.05, 0.05), size * neck, 0.0])
                .blend(0.2);
        }
        2 => {
            // Segments around the axis.
            let count = dice.count(5, 9);
            let bulge = dice.between(0.35, 0.6);
            top = size * 0.7;
            for k in 0..count {
                let (sin, cos) = (TAU * k as f32 / count as f32).sin_cos();
                shape
                    .add(Primitive::Ellipsoid([size * bulge, size * 0.8, size * bulge]))
                    .at([size * 0.55 * cos, 0.0, size * 0.55 * sin])
                    .slot(0);
            }
        }
        3 => {
            // Banana, chilli, horn, croissant.
            let arc = dice.between(0.5, 1.3);
            let fat = dice.between(0.04, 0.11);
            let pieces = 6;
            for k in 0..pieces {
                let point = |k: usize| {
                    let angle = (k as f32 / pieces as f32 - 0.5) * 2.0 * arc;
                    [0.4 * angle.sin() / arc.max(0.8), 0.5 - 0.4 * angle.cos(), 0.0]
                };
                let radius = |k: usize| fat * (1.0 - 0.8 * (k as f32 / pieces as f32 * 2.0 - 1.0).powi(2)).max(0.15);
                shape
                    .add(Primitive::Limb {
                        from: point(k),
                        to: point(k + 1),
                        from_radius: radius(k),
                        to_radius: radius(k + 1),
                    })
                    .blend(0.01);
            }
            let yaw = turn(1, dice.between(0.0, TAU));
            return shape.rotated(&times(&yaw, &turn(0, dice.between(-1.5, 1.5))));
        }
        _ => {
            // Carrot, cone, egg, strawberry.
            let tip = dice.between(0.02, 0.15);
            top = 0.1;
            shape.add(Primitive::Limb {
                from: [0.0; 3],
                to: [0.0, -dice.between(0.2, 0.6), 0.0],
                from_radius: dice.between(0.12, 0.3),
                to_radius: tip,
            });
        }
    }
    if dice.chance(0.6) {
        let stem = dice.between(0.06, 0.18);
        shape.next_group();
        shape
            .add(Primitive::Limb {
                from: [0.0, top * 0.8, 0.0],
                to: [dice.between(-0.04, 0.04), top + stem, 0.0],
                from_radius: 0.025,
                to_radius: 0.018,
            })
            .slot(1);
    }
    let crown = if dice.chance(0.45) { dice.count(1, 7) } else { 0 };
    for leaf in 0..crown {
        let yaw = turn(1, TAU * leaf as f32 / crown as f32);
        let bent = times(&yaw, &turn(2, dice.between(0.0, 1.2)));
        let half = [dice.between(0.06, 0.14), 0.015, 0.04];
        let at = super::vector::apply(&bent, [half[0], 0.0, 0.0]);
        shape.add(Primitive::Ellipsoid(half)).turned(&bent).at(add([0.0, top, 0.0], at)).slot(2);
    }
    shape.ripples = ripples(dice, 0.15, 0.012);
    shape
}

/// Cacti, candelabra, coral: a trunk with arms that turn up.
pub(super) fn cactus(dice: &mut Dice) -> Shape {
    let mut shape = Shape::default();
    let ground = pot(&mut shape, dice, 0.35);
    let tall = dice.between(0.35, 0.8);
    let thick = dice.between(0.04, 0.12);
    let blend = dice.between(0.0, 0.05);
    shape.add(Primitive::Limb {
        from: [0.0, ground, 0.0],
        to: [0.0, ground + tall, 0.0],
        from_radius: thick,
        to_radius: thick * 0.9,
    });
    for _ in 0..dice.count(0, 5) {
        let (sin, cos) = dice.between(0.0, TAU).sin_cos();
        let start = [0.0, ground + tall * dice.between(0.2, 0.7), 0.0];
        let out = thick + dice.between(0.08, 0.2);
        let elbow = add(start, [out * cos, dice.between(0.0, 0.06), out * sin]);
        let radius = thick * dice.between(0.5, 0.9);
        shape.add(Primitive::Limb { from: start, to: elbow, from_radius: radius, to_radius: radius }).blend(blend);
        let up = dice.between(0.08, 0.3);
        shape
            .add(Primitive::Limb {
                from: elbow,
                to: add(elbow, [0.0, up, 0.0]),
                from_radius: radius,
                to_radius: radius * 0.9,
            })
            .blend(blend);
    }
    if dice.chance(0.4) {
        shape.add(Primitive::Ellipsoid([0.05, 0.04, 0.05])).at([0.0, ground + tall + thick * 0.8, 0.0]).slot(4);
    }
    shape
}
