//! The few vector operations of this crate's loops, on plain arrays.

/// A point or a vector.
pub(crate) type Vec3 = [f32; 3];

#[inline]
pub(crate) fn add(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

#[inline]
pub(crate) fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline]
pub(crate) fn scale(a: Vec3, s: f32) -> Vec3 {
    [a[0] * s, a[1] * s, a[2] * s]
}

#[inline]
pub(crate) fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline]
pub(crate) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[inline]
pub(crate) fn norm(a: Vec3) -> f32 {
    dot(a, a).sqrt()
}

/// `sum += a`.
#[inline]
pub(crate) fn accumulate(sum: &mut Vec3, a: Vec3) {
    for k in 0..3 {
        sum[k] += a[k];
    }
}

/// Twice-area vector of a triangle along its outward normal.
#[inline]
pub(crate) fn area_vector([a, b, c]: [Vec3; 3]) -> Vec3 {
    cross(sub(b, a), sub(c, a))
}
