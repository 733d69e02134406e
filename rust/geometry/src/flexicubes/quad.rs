//! Triangles of a quad: one diagonal, or in training four triangles around a centre that gamma moves, which makes the
//! choice of the diagonal differentiable.

use super::dual::{dot, sub};
use crate::real::Real;

/// Products of gamma at the ends of both diagonals: corners 0 and 2, then 1 and 3.
pub(super) fn diagonal_weights<T: Real>(gamma: [T; 4]) -> [T; 2] {
    [gamma[0] * gamma[2], gamma[1] * gamma[3]]
}

/// The two triangles of an evaluation, split along the heavier diagonal; ties take corners 1 and 3.
pub(super) fn split_quad<T: Real>([a, b, c, d]: [u32; 4], weights: [T; 2]) -> [[u32; 3]; 2] {
    if weights[0] > weights[1] { [[a, b, c], [a, c, d]] } else { [[a, b, d], [d, b, c]] }
}

/// The four triangles of training.
pub(super) fn fan([a, b, c, d]: [u32; 4], center: u32) -> [[u32; 3]; 4] {
    [[a, b, center], [b, c, center], [c, d, center], [d, a, center]]
}

fn midpoint<T: Real>(a: [T; 3], b: [T; 3]) -> [T; 3] {
    std::array::from_fn(|axis| (a[axis] + b[axis]) * T::of(0.5))
}

fn inverse_weight<T: Real>(weights: [T; 2]) -> T {
    T::ONE / (weights[0] + weights[1] + T::of(1e-8))
}

/// The centre: the mean of both diagonals' midpoints by their weight.
pub(super) fn center<T: Real>(vertices: [[T; 3]; 4], weights: [T; 2]) -> [T; 3] {
    let inverse = inverse_weight(weights);
    let (even, odd) = (midpoint(vertices[0], vertices[2]), midpoint(vertices[1], vertices[3]));
    std::array::from_fn(|axis| (weights[0] * even[axis] + weights[1] * odd[axis]) * inverse)
}

/// Gradient through the centre of one quad.
#[derive(Clone, Copy, Default)]
pub(super) struct CenterGradient<T> {
    /// Share of the centre's gradient that corners 0 and 2 get, and that corners 1 and 3 get.
    pub(super) share: [T; 2],
    /// Gradient by gamma at each corner.
    pub(super) gamma: [T; 4],
}

/// Backward of [`center`], through [`diagonal_weights`].
pub(super) fn center_backward<T: Real>(vertices: [[T; 3]; 4], gamma: [T; 4], d_center: [T; 3]) -> CenterGradient<T> {
    let weights = diagonal_weights(gamma);
    let inverse = inverse_weight(weights);
    let center = center(vertices, weights);
    let d_weight = |a, b| dot(d_center, sub(midpoint(vertices[a], vertices[b]), center)) * inverse;
    let (even, odd) = (d_weight(0, 2), d_weight(1, 3));
    CenterGradient {
        share: weights.map(|weight| weight * inverse * T::of(0.5)),
        gamma: [even * gamma[2], odd * gamma[3], even * gamma[0], odd * gamma[1]],
    }
}
