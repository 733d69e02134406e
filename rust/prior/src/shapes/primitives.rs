//! Signed distances of the solids that shapes are made of.
//!
//! Each is exact, or of slope at most one and so a lower bound of the distance, in its own coordinates; derivations of the
//! classic ones: Hart, "Sphere tracing", 1996; Quilez, "Distance functions". Outlines in the plane become tables.

use super::vector::{Vec3, dot, length, sub};

/// A solid in its own coordinates. Axes of revolution are +Y.
#[derive(Clone, Debug)]
pub enum Primitive {
    /// Half axes.
    Ellipsoid(Vec3),
    /// Box of `half` sides whose edges are rounded by `round`.
    Box {
        /// Half sides, rounding included.
        half: Vec3,
        /// Radius of the edges.
        round: f32,
    },
    /// Hull of two balls.
    Limb {
        /// Centre of the first ball.
        from: Vec3,
        /// Centre of the second ball.
        to: Vec3,
        /// Radius of the first ball.
        from_radius: f32,
        /// Radius of the second ball.
        to_radius: f32,
    },
    /// Cut cone or cylinder.
    Cone {
        /// Half height, rounding included.
        half_height: f32,
        /// Radius at the bottom.
        bottom: f32,
        /// Radius at the top.
        top: f32,
        /// Radius of the edges.
        round: f32,
    },
    /// Ring around +Y, or the arc of it up to `half_angle` on both sides of +X.
    Ring {
        /// Radius of the centre line.
        major: f32,
        /// Radius of the tube.
        minor: f32,
        /// Half of the arc in radians; pi for a whole ring.
        half_angle: f32,
    },
    /// Superquadric: `((x/a)^(2/s) + (z/c)^(2/s))^(s/t) + (y/b)^(2/t) = 1`.
    Superquadric {
        /// Half axes.
        half: Vec3,
        /// `[t, s]`: squareness seen from the side and from above; 1 round, towards 0 square, 2 a rhombus.
        exponents: [f32; 2],
    },
    /// Half spaces in common: `dot(normal, p) <= offset` with unit normals `[nx, ny, nz, offset]`.
    Convex(Vec<[f32; 4]>),
    /// An outline over (radius, height) turned around +Y; with `sides` the turn is that of a prism.
    Lathe {
        /// The outline.
        outline: Outline,
        /// Number of flat sides; 0 for a round turn.
        sides: usize,
    },
    /// An outline in the XY plane, thick along Z.
    Extrusion {
        /// The outline.
        outline: Outline,
        /// Half thickness.
        half_depth: f32,
        /// How softly outline and faces meet: 0 sharp, up to the size of the outline for a cushion.
        soft: f32,
        /// Turn about Z per unit of depth in radians.
        twist: f32,
    },
}

impl Primitive {
    /// Signed distance at `p`, negative inside.
    pub fn distance(&self, p: Vec3) -> f32 {
        match self {
            Self::Ellipsoid(radii) => ellipsoid(p, *radii),
            Self::Box { half, round } => rounded_box(p, *half, *round),
            Self::Limb { from, to, from_radius, to_radius } => limb(p, *from, *to, *from_radius, *to_radius),
            Self::Cone { half_height, bottom, top, round } => cut_cone(p, *half_height, *bottom, *top, *round),
            Self::Ring { major, minor, half_angle } => ring(p, *major, *minor, *half_angle),
            Self::Superquadric { half, exponents } => superquadric(p, *half, *exponents),
            Self::Convex(planes) => {
                planes.iter().map(|n| n[0] * p[0] + n[1] * p[1] + n[2] * p[2] - n[3]).fold(f32::NEG_INFINITY, f32::max)
            }
            Self::Lathe { outline, sides } => {
                let radius = norm(p[0], p[2]);
                let radius = if *sides == 0 {
                    radius
                } else {
                    let sector = std::f32::consts::TAU / *sides as f32;
                    let angle = p[2].atan2(p[0]);
                    radius * (angle - sector * (angle / sector).round()).cos()
                };
                outline.distance([radius, p[1]])
            }
            Self::Extrusion { outline, half_depth, soft, twist } => {
                let mut q = [p[0], p[1]];
                if *twist != 0.0 {
                    let (sin, cos) = (p[2] * twist).sin_cos();
                    q = [cos * q[0] + sin * q[1], cos * q[1] - sin * q[0]];
                }
                // Twisted, the outline's distance is steeper than one away from the axis.
                let steep = if *twist == 0.0 { 1.0 } else { norm(1.0, twist * outline.reach()) };
                let (a, b) = (outline.distance(q) / steep, p[2].abs() - half_depth);
                if *soft > 0.0 { smooth_max(a, b, *soft) } else { a.max(b).min(0.0) + norm(a.max(0.0), b.max(0.0)) }
            }
        }
    }

    /// Radius of a ball around the origin of its coordinates that contains it.
    pub fn radius(&self) -> f32 {
        match self {
            Self::Ellipsoid(radii) => radii.iter().copied().fold(0.0, f32::max),
            Self::Box { half, .. } | Self::Superquadric { half, .. } => length(*half),
            Self::Limb { from, to, from_radius, to_radius } => {
                (length(*from) + from_radius).max(length(*to) + to_radius)
            }
            Self::Cone { half_height, bottom, top, .. } => half_height.hypot(bottom.max(*top)),
            Self::Ring { major, minor, .. } => major + minor,
            // Bounded by construction in the families: opposite planes in many directions.
            Self::Convex(planes) => 2.0 * planes.iter().map(|plane| plane[3]).fold(0.0, f32::max),
            Self::Lathe { outline, .. } => outline.reach() * 1.15,
            Self::Extrusion { outline, half_depth, .. } => outline.reach().hypot(*half_depth),
        }
    }
}

/// Length of `[a, b]`; the library's `hypot` also guards against overflow, which costs more than the root.
fn norm(a: f32, b: f32) -> f32 {
    (a * a + b * b).sqrt()
}

/// Union that rounds the crease within `k`.
pub(super) fn smooth_min(a: f32, b: f32, k: f32) -> f32 {
    if k <= 0.0 {
        return a.min(b);
    }
    let h = (k - (a - b).abs()).max(0.0) / k;
    a.min(b) - h * h * k * 0.25
}

/// Intersection that rounds the crease within `k`.
pub(super) fn smooth_max(a: f32, b: f32, k: f32) -> f32 {
    -smooth_min(-a, -b, k)
}

fn ellipsoid(p: Vec3, radii: Vec3) -> f32 {
    let scaled = length([p[0] / radii[0], p[1] / radii[1], p[2] / radii[2]]);
    let gradient = length([p[0] / (radii[0] * radii[0]), p[1] / (radii[1] * radii[1]), p[2] / (radii[2] * radii[2])]);
    let shortest = radii[0].min(radii[1]).min(radii[2]);
    if gradient < 1e-6 {
        return -shortest;
    }
    // Inside of flat ellipsoids the first-order distance is too large; the shortest half axis bounds it.
    (scaled * (scaled - 1.0) / gradient).max(-shortest)
}

fn rounded_box(p: Vec3, half: Vec3, round: f32) -> f32 {
    let q: Vec3 = std::array::from_fn(|k| p[k].abs() - half[k] + round);
    length(q.map(|x| x.max(0.0))) + q[0].max(q[1]).max(q[2]).min(0.0) - round
}

fn limb(p: Vec3, from: Vec3, to: Vec3, from_radius: f32, to_radius: f32) -> f32 {
    let axis = sub(to, from);
    let l2 = dot(axis, axis);
    let taper = from_radius - to_radius;
    let a2 = l2 - taper * taper;
    let q = sub(p, from);
    if a2 <= 1e-9 {
        // One ball contains the other.
        return (length(q) - from_radius).min(length(sub(p, to)) - to_radius);
    }
    let y = dot(q, axis);
    let z = y - l2;
    let across = [q[0] * l2 - axis[0] * y, q[1] * l2 - axis[1] * y, q[2] * l2 - axis[2] * y];
    let x2 = dot(across, across);
    let (y2, z2) = (y * y * l2, z * z * l2);
    let k = taper.signum() * taper * taper * x2;
    if z.signum() * a2 * z2 > k {
        (x2 + z2).sqrt() / l2 - to_radius
    } else if y.signum() * a2 * y2 < k {
        (x2 + y2).sqrt() / l2 - from_radius
    } else {
        ((x2 * a2 / l2).sqrt() + y * taper) / l2 - from_radius
    }
}

fn cut_cone(p: Vec3, half_height: f32, bottom: f32, top: f32, round: f32) -> f32 {
    let (h, r1, r2) = (half_height - round, (bottom - round).max(1e-4), (top - round).max(1e-4));
    let q = [norm(p[0], p[2]), p[1]];
    let cap = [q[0] - q[0].min(if q[1] < 0.0 { r1 } else { r2 }), q[1].abs() - h];
    let (k1, k2) = ([r2, h], [r2 - r1, 2.0 * h]);
    let along = (((k1[0] - q[0]) * k2[0] + (k1[1] - q[1]) * k2[1]) / (k2[0] * k2[0] + k2[1] * k2[1])).clamp(0.0, 1.0);
    let side = [q[0] - k1[0] + k2[0] * along, q[1] - k1[1] + k2[1] * along];
    let inside = side[0] < 0.0 && cap[1] < 0.0;
    let distance = (cap[0] * cap[0] + cap[1] * cap[1]).min(side[0] * side[0] + side[1] * side[1]).sqrt();
    (if inside { -distance } else { distance }) - round
}

fn ring(p: Vec3, major: f32, minor: f32, half_angle: f32) -> f32 {
    let radius = norm(p[0], p[2]);
    if half_angle < 3.1 && p[2].abs().atan2(p[0]) > half_angle {
        let (sin, cos) = half_angle.sin_cos();
        return length([p[0] - major * cos, p[1], p[2].abs() - major * sin]) - minor;
    }
    norm(radius - major, p[1]) - minor
}

fn superquadric(p: Vec3, half: Vec3, [t, s]: [f32; 2]) -> f32 {
    let q: Vec3 = std::array::from_fn(|k| (p[k] / half[k]).abs().max(1e-4));
    let flat = (q[0].powf(2.0 / s) + q[2].powf(2.0 / s)).powf(s / t);
    let level = (flat + q[1].powf(2.0 / t)).powf(t / 2.0);
    let shortest = half[0].min(half[1]).min(half[2]);
    // Along the ray from the centre; the surface may be nearer to the side, hence the factor.
    0.6 * (length(p) * (1.0 - 1.0 / level)).max(-shortest)
}

/// A closed outline in the plane as a table of signed distances.
#[derive(Clone, Debug)]
pub struct Outline {
    low: [f32; 2],
    step: [f32; 2],
    values: Vec<f32>,
}

impl Outline {
    /// Table cells on a side.
    const CELLS: usize = 48;

    /// From a polygon (either orientation; even-odd).
    pub fn polygon(corners: &[[f32; 2]]) -> Self {
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for corner in corners {
            for k in 0..2 {
                low[k] = low[k].min(corner[k]);
                high[k] = high[k].max(corner[k]);
            }
        }
        Self::table(low, high, |p| polygon_distance(corners, p))
    }

    /// From any distance function that is negative only between `low` and `high`.
    pub fn table(low: [f32; 2], high: [f32; 2], distance: impl Fn([f32; 2]) -> f32) -> Self {
        let margin = 0.04 * (high[0] - low[0]).max(high[1] - low[1]);
        let low = low.map(|x| x - margin);
        let high = high.map(|x| x + margin);
        let step: [f32; 2] = std::array::from_fn(|k| (high[k] - low[k]) / Self::CELLS as f32);
        let values = (0..=Self::CELLS)
            .flat_map(|row| (0..=Self::CELLS).map(move |column| (row, column)))
            .map(|(row, column)| distance([low[0] + step[0] * column as f32, low[1] + step[1] * row as f32]))
            .collect();
        Self { low, step, values }
    }

    /// Bilinear inside of the table; outside of it the way to the table is added.
    pub(super) fn distance(&self, p: [f32; 2]) -> f32 {
        let last = Self::CELLS as f32;
        let u: [f32; 2] = std::array::from_fn(|k| (p[k] - self.low[k]) / self.step[k]);
        let inside = u.map(|x| x.clamp(0.0, last));
        let cell = inside.map(|x| (x as usize).min(Self::CELLS - 1));
        let [fx, fy] = [inside[0] - cell[0] as f32, inside[1] - cell[1] as f32];
        let at = cell[1] * (Self::CELLS + 1) + cell[0];
        let v = &self.values;
        let near = v[at] + fx * (v[at + 1] - v[at]);
        let next = at + Self::CELLS + 1;
        let far = v[next] + fx * (v[next + 1] - v[next]);
        let value = near + fy * (far - near);
        let off = norm((u[0] - inside[0]) * self.step[0], (u[1] - inside[1]) * self.step[1]);
        if off > 0.0 { off.max(value) } else { value }
    }

    fn reach(&self) -> f32 {
        let corner = |k: usize| self.low[k].abs().max((self.low[k] + self.step[k] * Self::CELLS as f32).abs());
        corner(0).hypot(corner(1))
    }
}

/// Distance to the nearest edge of a polygon, negative inside.
pub(super) fn polygon_distance(corners: &[[f32; 2]], p: [f32; 2]) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    for (index, &a) in corners.iter().enumerate() {
        let b = corners[(index + 1) % corners.len()];
        let (e, w) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
        let along = ((w[0] * e[0] + w[1] * e[1]) / (e[0] * e[0] + e[1] * e[1]).max(1e-12)).clamp(0.0, 1.0);
        let d = [w[0] - e[0] * along, w[1] - e[1] * along];
        nearest = nearest.min(d[0] * d[0] + d[1] * d[1]);
        if (a[1] > p[1]) != (b[1] > p[1]) && p[0] < a[0] + e[0] * (p[1] - a[1]) / e[1] {
            inside = !inside;
        }
    }
    let distance = nearest.sqrt();
    if inside { -distance } else { distance }
}
