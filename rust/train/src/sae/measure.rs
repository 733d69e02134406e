//! How like the truth a decoded shape is.

use maquette_prior::shapes::SdfCube;

/// Likeness of two shapes sampled alike.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likeness {
    /// Intersection over union of the insides.
    pub iou: f64,
    /// Mean angle between the slopes at the surface, in degrees.
    pub normal_degrees: f64,
    /// Pieces of touching samples that the truth has not, floaters if above 0.
    pub extra_pieces: f64,
}

impl Likeness {
    /// Of `ours` to `truth`.
    pub fn of(ours: &SdfCube, truth: &SdfCube) -> Self {
        let pairs = || ours.values.iter().zip(&truth.values);
        let both = pairs().filter(|(a, b)| **a < 0.0 && **b < 0.0).count();
        let either = pairs().filter(|(a, b)| **a < 0.0 || **b < 0.0).count();
        let size = truth.size;
        let (mut angle, mut count) = (0.0f64, 0usize);
        for z in 1..size - 1 {
            for y in 1..size - 1 {
                for x in 1..size - 1 {
                    let index = (z * size + y) * size + x;
                    if truth.values[index].abs() > 0.5 / size as f32 {
                        continue;
                    }
                    let slope = |values: &[f32]| {
                        [1, size, size * size].map(|stride| f64::from(values[index + stride] - values[index - stride]))
                    };
                    let (a, b) = (slope(&ours.values), slope(&truth.values));
                    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
                    let lengths = (dot(a, a) * dot(b, b)).sqrt();
                    if lengths > 0.0 {
                        angle += (dot(a, b) / lengths).clamp(-1.0, 1.0).acos().to_degrees();
                        count += 1;
                    }
                }
            }
        }
        Self {
            iou: both as f64 / either.max(1) as f64,
            normal_degrees: angle / count.max(1) as f64,
            extra_pieces: pieces(ours) as f64 - pieces(truth) as f64,
        }
    }
}

/// Number of pieces of inside samples that touch by a face, an edge or a corner.
fn pieces(cube: &SdfCube) -> usize {
    let size = cube.size as isize;
    let mut left: Vec<bool> = cube.values.iter().map(|value| *value < 0.0).collect();
    let (mut count, mut open) = (0, Vec::new());
    for start in 0..left.len() {
        if !left[start] {
            continue;
        }
        count += 1;
        open.push(start);
        left[start] = false;
        while let Some(at) = open.pop() {
            let at = at as isize;
            let here = [at % size, at / size % size, at / size / size];
            for step in 0..27isize {
                let to = [here[0] + step % 3 - 1, here[1] + step / 3 % 3 - 1, here[2] + step / 9 - 1];
                if to.iter().all(|k| (0..size).contains(k)) {
                    let to = ((to[2] * size + to[1]) * size + to[0]) as usize;
                    if std::mem::take(&mut left[to]) {
                        open.push(to);
                    }
                }
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_like_itself_and_floaters_count() {
        let size = 16;
        let ball = |center: f32, radius: f32| -> Vec<f32> {
            (0..size * size * size)
                .map(|index| {
                    let p = [index % size, index / size % size, index / size / size].map(|k| k as f32 - center);
                    (p.iter().map(|x| x * x).sum::<f32>().sqrt() - radius) / size as f32
                })
                .collect()
        };
        let truth = SdfCube { size, values: ball(6.0, 4.0) };
        let same = Likeness::of(&truth, &truth);
        assert!(same.iou == 1.0 && same.normal_degrees < 1e-3 && same.extra_pieces == 0.0, "{same:?}");
        let values = truth.values.iter().zip(ball(13.0, 1.2)).map(|(a, b)| a.min(b)).collect();
        let other = Likeness::of(&SdfCube { size, values }, &truth);
        assert!(other.iou < 1.0 && other.extra_pieces == 1.0, "{other:?}");
    }
}
