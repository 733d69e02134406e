//! Dual vertices and their deviation: the numbers of one patch of one cube, forward and backward.

use super::tables::{EDGES, MAX_PATCH_EDGES};
use crate::real::Real;

/// Span of the activated weights around 1 (alpha, beta) and of gamma around 1/2.
pub(super) const WEIGHT_SCALE: f64 = 0.99;

/// 1 + 0.99 tanh of raw weights.
pub(super) fn activate<T: Real, const N: usize>(raw: [T; N]) -> [T; N] {
    T::tanh(raw).map(|t| T::ONE + T::of(WEIGHT_SCALE) * t)
}

/// Derivative of [`activate`], from its result.
pub(super) fn activation_slope<T: Real>(activated: T) -> T {
    let t = (activated - T::ONE) / T::of(WEIGHT_SCALE);
    T::of(WEIGHT_SCALE) * (T::ONE - t * t)
}

/// 0.99 sigmoid + 0.005 of the raw weight of a quad's split.
pub(super) fn activate_gamma<T: Real>(raw: T) -> T {
    let [t] = T::tanh([raw * T::of(0.5)]);
    T::of(0.5) + T::of(0.5 * WEIGHT_SCALE) * t
}

/// Derivative of [`activate_gamma`], from its result.
pub(super) fn gamma_slope<T: Real>(activated: T) -> T {
    let t = (activated - T::of(0.5)) * T::of(2.0 / WEIGHT_SCALE);
    T::of(0.25 * WEIGHT_SCALE) * (T::ONE - t * t)
}

pub(super) fn dot<T: Real>(a: [T; 3], b: [T; 3]) -> T {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn sub<T: Real>(a: [T; 3], b: [T; 3]) -> [T; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(super) fn add_scaled<T: Real>(sum: &mut [T; 3], scale: T, a: [T; 3]) {
    for axis in 0..3 {
        sum[axis] += scale * a[axis];
    }
}

/// What a cube takes from the field.
#[derive(Clone, Copy, Default)]
pub(super) struct CubeInput<T> {
    pub(super) sdf: [T; 8],
    pub(super) position: [[T; 3]; 8],
    /// Activated weights of corners and edges.
    pub(super) alpha: [T; 8],
    pub(super) beta: [T; 12],
}

/// Gradients of a loss by a [`CubeInput`], and by the cube's gamma.
#[derive(Clone, Copy, Default)]
pub(super) struct CubeGradient<T> {
    pub(super) sdf: [T; 8],
    pub(super) position: [[T; 3]; 8],
    pub(super) alpha: [T; 8],
    pub(super) beta: [T; 12],
    pub(super) gamma: T,
}

/// Where a field that is linear along an edge is zero: the share of either end, and the difference of the field.
#[derive(Clone, Copy, Default)]
struct Crossing<T> {
    share: [T; 2],
    difference: T,
}

impl<T: Real> Crossing<T> {
    fn new(a: T, b: T) -> Self {
        let difference = b - a;
        Self { share: [b / difference, -a / difference], difference }
    }

    fn point(&self, a: [T; 3], b: [T; 3]) -> [T; 3] {
        std::array::from_fn(|axis| self.share[0] * a[axis] + self.share[1] * b[axis])
    }

    /// Adds to the gradients of both positions; returns those of both field values.
    fn backward(
        &self,
        d_point: [T; 3],
        position: &[[T; 3]; 8],
        [a, b]: [usize; 2],
        d_position: &mut [[T; 3]; 8],
    ) -> [T; 2] {
        add_scaled(&mut d_position[a], self.share[0], d_point);
        add_scaled(&mut d_position[b], self.share[1], d_point);
        let slope = dot(d_point, sub(position[a], position[b])) / self.difference;
        self.share.map(|share| slope * share)
    }
}

/// Edges of a bit set, ascending.
fn edges_of(mut edges: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (edges != 0).then(|| {
            let edge = edges.trailing_zeros() as usize;
            edges &= edges - 1;
            edge
        })
    })
}

impl<T: Real> CubeInput<T> {
    /// Zero crossing of the field, which all cubes of a grid edge agree on.
    fn zero_crossing(&self, [a, b]: [usize; 2]) -> Crossing<T> {
        Crossing::new(self.sdf[a], self.sdf[b])
    }

    /// Crossing of the field weighted by this cube's alpha.
    fn cube_crossing(&self, [a, b]: [usize; 2]) -> Crossing<T> {
        Crossing::new(self.sdf[a] * self.alpha[a], self.sdf[b] * self.alpha[b])
    }

    fn point(&self, crossing: &Crossing<T>, [a, b]: [usize; 2]) -> [T; 3] {
        crossing.point(self.position[a], self.position[b])
    }

    /// The dual vertex of the patch with these edges: the mean of its cube crossings, weighted by beta.
    pub(super) fn dual_vertex(&self, edges: u16) -> [T; 3] {
        let (mut sum, mut weight) = ([T::ZERO; 3], T::ZERO);
        for edge in edges_of(edges) {
            let ends = EDGES[edge];
            add_scaled(&mut sum, self.beta[edge], self.point(&self.cube_crossing(ends), ends));
            weight += self.beta[edge];
        }
        let inverse = T::ONE / weight;
        sum.map(|x| x * inverse)
    }

    /// How much the distances of a dual vertex from its edges' zero crossings deviate from their mean, by edge.
    pub(super) fn deviation(&self, edges: u16, vertex: [T; 3], deviation: &mut [T]) {
        let mut sum = T::ZERO;
        for (edge, distance) in edges_of(edges).zip(deviation.iter_mut()) {
            let ends = EDGES[edge];
            let away = sub(self.point(&self.zero_crossing(ends), ends), vertex);
            *distance = dot(away, away).sqrt();
            sum += *distance;
        }
        let mean = sum * (T::ONE / T::of(f64::from(edges.count_ones())));
        for distance in deviation {
            *distance = (*distance - mean).abs();
        }
    }

    /// Backward of [`CubeInput::dual_vertex`]: adds to `gradient`.
    pub(super) fn dual_vertex_backward(
        &self,
        edges: u16,
        vertex: [T; 3],
        d_vertex: [T; 3],
        gradient: &mut CubeGradient<T>,
    ) {
        let inverse = T::ONE / edges_of(edges).fold(T::ZERO, |sum, edge| sum + self.beta[edge]);
        let d_mean = d_vertex.map(|d| d * inverse);
        for edge in edges_of(edges) {
            let ends = EDGES[edge];
            let crossing = self.cube_crossing(ends);
            gradient.beta[edge] += dot(d_mean, sub(self.point(&crossing, ends), vertex));
            let d_point = d_mean.map(|d| d * self.beta[edge]);
            let d_weighted = crossing.backward(d_point, &self.position, ends, &mut gradient.position);
            for (corner, d_weighted) in ends.into_iter().zip(d_weighted) {
                gradient.sdf[corner] += self.alpha[corner] * d_weighted;
                gradient.alpha[corner] += self.sdf[corner] * d_weighted;
            }
        }
    }

    /// Backward of [`CubeInput::deviation`]: adds to `d_vertex` and `gradient`. A deviation or distance of exactly 0 has
    /// gradient 0.
    pub(super) fn deviation_backward(
        &self,
        edges: u16,
        vertex: [T; 3],
        d_deviation: &[T],
        d_vertex: &mut [T; 3],
        gradient: &mut CubeGradient<T>,
    ) {
        let count = edges.count_ones() as usize;
        let mut spokes = [Spoke::default(); MAX_PATCH_EDGES];
        let mut sum = T::ZERO;
        for (edge, spoke) in edges_of(edges).zip(&mut spokes) {
            let ends = EDGES[edge];
            let crossing = self.zero_crossing(ends);
            let away = sub(self.point(&crossing, ends), vertex);
            let distance = dot(away, away).sqrt();
            *spoke = Spoke { crossing, away, distance, ends };
            sum += distance;
        }
        let inverse_count = T::ONE / T::of(count as f64);
        let mean = sum * inverse_count;
        // Gradients by distance less mean, and minus the one by the mean.
        let mut signed = [T::ZERO; MAX_PATCH_EDGES];
        let mut mean_signed = T::ZERO;
        for index in 0..count {
            let (distance, d) = (spokes[index].distance, d_deviation[index]);
            signed[index] = if distance > mean {
                d
            } else if distance < mean {
                -d
            } else {
                T::ZERO
            };
            mean_signed += signed[index] * inverse_count;
        }
        for (spoke, signed) in spokes[..count].iter().zip(signed) {
            if spoke.distance == T::ZERO {
                continue;
            }
            let scale = (signed - mean_signed) / spoke.distance;
            let d_point = spoke.away.map(|away| away * scale);
            add_scaled(d_vertex, -T::ONE, d_point);
            let d_sdf = spoke.crossing.backward(d_point, &self.position, spoke.ends, &mut gradient.position);
            gradient.sdf[spoke.ends[0]] += d_sdf[0];
            gradient.sdf[spoke.ends[1]] += d_sdf[1];
        }
    }
}

/// From a dual vertex to the zero crossing of an edge.
#[derive(Clone, Copy, Default)]
struct Spoke<T> {
    crossing: Crossing<T>,
    away: [T; 3],
    distance: T,
    ends: [usize; 2],
}
