//! The few operations on points and colours that this crate needs.

pub(crate) type Point = [f32; 3];

#[inline]
pub(crate) fn sub(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline]
pub(crate) fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[inline]
pub(crate) fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The vector at unit length; zero stays zero.
#[inline]
pub(crate) fn unit(a: Point) -> Point {
    let length = dot(a, a).sqrt();
    if length > 1e-20 { a.map(|x| x / length) } else { [0.0; 3] }
}

/// Weighted mean of a triangle's corner values; `uv` weighs the second and third corner.
#[inline]
pub(crate) fn interpolate<const N: usize>(corners: [[f32; N]; 3], uv: [f32; 2]) -> [f32; N] {
    let [u, v] = uv;
    let w = 1.0 - u - v;
    std::array::from_fn(|k| w * corners[0][k] + u * corners[1][k] + v * corners[2][k])
}
