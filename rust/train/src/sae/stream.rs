//! Shapes in groups: every shape is used a few times, turned and mirrored, before the next group comes.

use maquette_prior::sae::network::SIZE;
use maquette_prior::shapes::{Dice, SdfCube};

use crate::data::cubes::{WAYS, shape_sample, turned};
use crate::prefetch::Prefetch;

/// Shapes in a group.
const GROUP: u64 = 64;
/// Times that each is used.
const USES: u64 = 4;

/// Sample `index` of the stream is a pure function of seed and index.
pub(crate) struct ShapeStream {
    seed: u64,
    next: u64,
    fresh: Prefetch<Vec<i16>>,
    group: Vec<Vec<i16>>,
}

/// One training sample.
pub(crate) struct ShapeSample {
    /// Distances in units of [`SdfCube::REACH`], -1..=1.
    pub(crate) distances: Vec<f32>,
    /// Its place in the stream.
    pub(crate) index: u64,
}

/// Unit of a stored distance.
const UNIT: f32 = 1.0 / 32_000.0;

/// Where sample `index` finds its shape: the shape, its place in the group, the use of it.
fn place(index: u64) -> (u64, u64, u64) {
    let (group, within) = (index / (GROUP * USES), index % (GROUP * USES));
    (group * GROUP + within % GROUP, within % GROUP, within / GROUP)
}

impl ShapeStream {
    /// The stream from sample `first` on.
    pub(crate) fn new(seed: u64, first: u64, threads: usize) -> Self {
        let make = move |index| {
            let cube = shape_sample(seed, index, SIZE);
            cube.values.iter().map(|value| (value / SdfCube::REACH / UNIT).round() as i16).collect()
        };
        let (shape, member, _) = place(first);
        let mut fresh = Prefetch::new(shape - member, threads, GROUP as usize / 2, make);
        let (_, member, used) = place(first);
        let known = if used > 0 { GROUP } else { member };
        let group = fresh.by_ref().take(known as usize).collect();
        Self { seed, next: first, fresh, group }
    }

    /// The next sample; `None` when the threads that make shapes have died.
    pub(crate) fn next(&mut self) -> Option<ShapeSample> {
        let index = self.next;
        let (shape, member, used) = place(index);
        if used == 0 {
            if member == 0 {
                self.group.clear();
            }
            self.group.push(self.fresh.next()?);
        }
        self.next += 1;
        let first = Dice::new(self.seed, &format!("way {shape}")).below(WAYS);
        // Three has no divisor in common with the number of ways, so no way comes twice.
        let way = (first + 3 * used as usize) % WAYS;
        let values: Vec<f32> = self.group.get(member as usize)?.iter().map(|&value| f32::from(value) * UNIT).collect();
        Some(ShapeSample { distances: turned(&values, SIZE, way), index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_comes_as_often() {
        let mut counts = vec![0; 3 * GROUP as usize];
        for index in 0..3 * GROUP * USES {
            let (shape, member, used) = place(index);
            assert_eq!(shape % GROUP, member);
            assert!(used < USES);
            counts[shape as usize] += 1;
        }
        assert!(counts.iter().all(|&count| count == USES));
    }

    #[test]
    fn a_stream_goes_on_anywhere() {
        let mut whole = ShapeStream::new(5, 0, 2);
        let samples: Vec<ShapeSample> = (0..4).map(|_| whole.next().unwrap()).collect();
        let mut late = ShapeStream::new(5, 3, 1);
        let sample = late.next().unwrap();
        assert!(sample.index == 3 && sample.distances == samples[3].distances);
        assert!(samples[0].distances != samples[1].distances);
    }
}
