//! A shape: parts in groups, joined and cut in order, found quickly by asking first which parts matter near a place.
//!
//! The list of parts that can touch a ball replaces a spatial tree; Barbier et al., "Lipschitz Pruning: Hierarchical
//! Simplification of Primitive-Based SDFs", 2025.

use super::primitives::{Primitive, smooth_max, smooth_min};
use super::vector::{IDENTITY, Mat3, Vec3, add, apply, length, sub, times, transposed};

/// What a ball holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing of the solid.
    Empty,
    /// Only solid.
    Full,
    /// Maybe both.
    Mixed,
}

/// Something with a signed distance (or a lower bound of it) that knows which of its parts matter where.
pub trait Solid: Sync {
    /// Indices of all parts.
    fn all_parts(&self) -> Vec<u16>;
    /// Which of `among` matter within `radius` of `center`; they are written to `active`.
    fn prune(&self, center: Vec3, radius: f32, among: &[u16], active: &mut Vec<u16>) -> Content;
    /// Signed distance at `p`, negative inside; right in sign, and near the surface in value, where `active` is right.
    fn distance(&self, p: Vec3, active: &[u16]) -> f32;
    /// Half side of a cube around the origin that contains the solid.
    fn half_extent(&self) -> f32;
}

/// One primitive in its place.
#[derive(Clone, Debug)]
pub struct Part {
    primitive: Primitive,
    local_from_shape: Mat3,
    position: Vec3,
    mirrored: bool,
    cut: bool,
    blend: f32,
    group: u16,
    slot: u8,
    radius: f32,
}

impl Part {
    /// Moves it by `offset`.
    pub fn at(&mut self, offset: Vec3) -> &mut Self {
        self.position = add(self.position, offset);
        self
    }

    /// Turns it in place by a rotation.
    pub fn turned(&mut self, rotation: &Mat3) -> &mut Self {
        self.local_from_shape = times(&self.local_from_shape, &transposed(rotation));
        self
    }

    /// Repeats it in the mirror x = 0.
    pub fn mirrored(&mut self) -> &mut Self {
        self.mirrored = true;
        self
    }

    /// Takes it away from what its group has so far.
    pub fn cut(&mut self) -> &mut Self {
        self.cut = true;
        self
    }

    /// Rounds the crease to what its group has so far, within this distance.
    pub fn blend(&mut self, distance: f32) -> &mut Self {
        self.blend = distance;
        self
    }

    /// Which coat of paint it wears.
    pub fn slot(&mut self, slot: usize) -> &mut Self {
        self.slot = slot as u8;
        self
    }

    fn distance(&self, p: Vec3) -> f32 {
        let p = if self.mirrored { [p[0].abs(), p[1], p[2]] } else { p };
        self.primitive.distance(apply(&self.local_from_shape, sub(p, self.position)))
    }

    /// A lower bound of the distance that costs little.
    fn far(&self, p: Vec3) -> f32 {
        let p = if self.mirrored { [p[0].abs(), p[1], p[2]] } else { p };
        length(sub(p, self.position)) - self.radius
    }
}

/// A ball of paint.
#[derive(Clone, Copy, Debug)]
pub struct Decal {
    /// Middle, in shape space.
    pub center: Vec3,
    /// Radius.
    pub radius: f32,
    /// Coat of paint.
    pub slot: u8,
}

/// Ripples of the whole surface.
#[derive(Clone, Copy, Debug)]
pub struct Ripples {
    /// Largest displacement.
    pub amplitude: f32,
    /// Waves per 2 pi of length.
    pub frequency: Vec3,
    /// Offsets in radians.
    pub phase: Vec3,
}

/// Parts in groups; the shape is the union of its groups.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    parts: Vec<Part>,
    group: u16,
    /// Turns points of shape space into the space of the parts, once all parts are there.
    parts_from_shape: Option<Mat3>,
    /// Painted details such as eyes, lamps and labels.
    pub decals: Vec<Decal>,
    /// Ripples of the surface.
    pub ripples: Option<Ripples>,
}

impl Shape {
    /// Adds a part to the current group.
    pub fn add(&mut self, primitive: Primitive) -> &mut Part {
        let part = Part {
            radius: primitive.radius(),
            primitive,
            local_from_shape: IDENTITY,
            position: [0.0; 3],
            mirrored: false,
            cut: false,
            blend: 0.0,
            group: self.group,
            slot: 0,
        };
        self.parts.push(part);
        let last = self.parts.len() - 1;
        &mut self.parts[last]
    }

    /// Starts a new group: later parts neither blend with nor cut what is there.
    pub fn next_group(&mut self) {
        self.group += 1;
    }

    /// Makes one group of all parts so far, so that what follows blends with and cuts all of them.
    pub fn join_groups(&mut self) {
        self.group = 0;
        for part in &mut self.parts {
            part.group = 0;
        }
    }

    /// The whole shape, turned. Nothing can be added in the new axes.
    #[must_use]
    pub fn rotated(mut self, rotation: &Mat3) -> Self {
        let back = transposed(rotation);
        self.parts_from_shape = Some(match &self.parts_from_shape {
            Some(before) => times(before, &back),
            None => back,
        });
        self
    }

    fn to_parts(&self, p: Vec3) -> Vec3 {
        self.parts_from_shape.as_ref().map_or(p, |m| apply(m, p))
    }

    /// Paints a ball, and its mirror image.
    pub fn paint_pair(&mut self, center: Vec3, radius: f32, slot: usize) {
        for side in [1.0, -1.0] {
            self.decals.push(Decal { center: [side * center[0], center[1], center[2]], radius, slot: slot as u8 });
        }
    }

    /// Number of parts.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// True without parts.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Coat of paint at a point of the surface.
    pub fn slot_at(&self, p: Vec3, active: &[u16]) -> u8 {
        let p = self.to_parts(p);
        if let Some(decal) = self.decals.iter().rev().find(|decal| length(sub(p, decal.center)) < decal.radius) {
            return decal.slot;
        }
        let mut nearest = (f32::MAX, 0);
        for &index in active {
            let part = &self.parts[index as usize];
            // A cut wears its own coat on the faces that it leaves.
            let distance = part.distance(p).abs();
            if distance < nearest.0 {
                nearest = (distance, part.slot);
            }
        }
        nearest.1
    }
}

/// Distance of nothing, larger than any shape; finite, so that slopes are.
const FAR: f32 = 16.0;
/// How far the lower bounds may overshoot: some primitives are distances to first order only.
const SLACK: f32 = 1.25;

impl Solid for Shape {
    fn all_parts(&self) -> Vec<u16> {
        (0..self.parts.len() as u16).collect()
    }

    fn prune(&self, center: Vec3, radius: f32, among: &[u16], active: &mut Vec<u16>) -> Content {
        active.clear();
        let center = self.to_parts(center);
        let radius = radius * SLACK + self.ripples.map_or(0.0, |ripples| ripples.amplitude);
        let (mut solid, mut full) = (false, false);
        let (mut group, mut group_full) = (u16::MAX, false);
        for &index in among {
            let part = &self.parts[index as usize];
            if part.group != group {
                full |= group_full;
                (group, group_full) = (part.group, false);
            }
            let reach = radius + part.blend;
            if part.far(center) > reach {
                continue;
            }
            let distance = part.distance(center);
            if distance > reach {
                continue;
            }
            active.push(index);
            if part.cut {
                group_full = false;
            } else {
                solid = true;
                group_full |= distance < -radius;
            }
        }
        full |= group_full;
        match (solid, full) {
            (false, _) => Content::Empty,
            (true, true) => Content::Full,
            (true, false) => Content::Mixed,
        }
    }

    fn distance(&self, p: Vec3, active: &[u16]) -> f32 {
        let p = self.to_parts(p);
        let (mut all, mut joined, mut group) = (FAR, FAR, u16::MAX);
        for &index in active {
            let part = &self.parts[index as usize];
            if part.group != group {
                all = all.min(joined);
                (joined, group) = (FAR, part.group);
            }
            // A part whose ball is farther than what is there changes nothing.
            if !part.cut && part.far(p) > joined + part.blend {
                continue;
            }
            let distance = part.distance(p);
            joined = if part.cut {
                smooth_max(joined, -distance, part.blend)
            } else {
                smooth_min(joined, distance, part.blend)
            };
        }
        let distance = all.min(joined);
        match self.ripples {
            Some(r) => {
                let wave = |k: usize| (p[k] * r.frequency[k] + r.phase[k]).sin();
                distance + r.amplitude * wave(0) * wave(1) * wave(2)
            }
            None => distance,
        }
    }

    fn half_extent(&self) -> f32 {
        let far = |part: &Part| part.position.iter().map(|x| x.abs()).fold(0.0, f32::max) + part.radius;
        let half = self.parts.iter().filter(|part| !part.cut).map(far).fold(0.0, f32::max);
        if self.parts_from_shape.is_some() { half * 1.733 } else { half }
    }
}

/// Points on the surface of `solid`, about `1 / 2^levels` of its extent apart: where it begins and ends.
pub fn surface_points(solid: &impl Solid, levels: usize) -> Vec<Vec3> {
    let mut points = Vec::new();
    let half = solid.half_extent() * 1.02;
    visit(solid, [0.0; 3], half, levels, &solid.all_parts(), &mut points);
    points
}

fn visit(solid: &impl Solid, center: Vec3, half: f32, levels: usize, among: &[u16], points: &mut Vec<Vec3>) {
    let radius = half * 1.733;
    let mut active = Vec::new();
    if solid.prune(center, radius, among, &mut active) != Content::Mixed {
        return;
    }
    let distance = solid.distance(center, &active);
    if distance.abs() > radius * SLACK * 1.5 {
        return;
    }
    if levels > 0 {
        for corner in 0..8u8 {
            let side = |bit: u8| if corner >> bit & 1 == 0 { -0.5 * half } else { 0.5 * half };
            visit(solid, add(center, [side(0), side(1), side(2)]), half * 0.5, levels - 1, &active, points);
        }
        return;
    }
    let normal = slope(solid, center, half * 0.25, &active);
    let steep = super::vector::dot(normal, normal);
    if steep < 1e-3 {
        return;
    }
    let foot = sub(center, super::vector::scale(normal, distance / steep));
    if length(sub(foot, center)) < radius {
        points.push(foot);
    }
}

/// Gradient of the distance by four taps at distance `h`.
pub fn slope(solid: &impl Solid, p: Vec3, h: f32, active: &[u16]) -> Vec3 {
    let mut sum = [0.0; 3];
    for tap in [[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]] {
        let d = solid.distance([p[0] + h * tap[0], p[1] + h * tap[1], p[2] + h * tap[2]], active);
        for k in 0..3 {
            sum[k] += tap[k] * d;
        }
    }
    super::vector::scale(sum, 0.25 / h)
}

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::*;

    #[test]
    fn pruning_changes_nothing_near_the_surface() {
        for family in super::super::FAMILIES {
            let shape = (family.make)(&mut Dice::new(3, family.name));
            let all = shape.all_parts();
            let mut dice = Dice::new(1, "places");
            let mut active = Vec::new();
            let half = shape.half_extent();
            let mut wrong = 0;
            for _ in 0..400 {
                let center: Vec3 = std::array::from_fn(|_| dice.between(-half, half));
                let radius = 0.08 * half;
                let content = shape.prune(center, radius, &all, &mut active);
                for _ in 0..10 {
                    let p = add(center, super::super::vector::scale(dice.direction(), dice.between(0.0, radius)));
                    let inside = shape.distance(p, &all) < 0.0;
                    let found = match content {
                        Content::Empty => false,
                        Content::Full => true,
                        Content::Mixed => shape.distance(p, &active) < 0.0,
                    };
                    wrong += usize::from(inside != found);
                }
            }
            assert!(wrong <= 4, "{}: {wrong} of 4000", family.name);
        }
    }
}
