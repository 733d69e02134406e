//! Samples in groups: every one is used a few times, in another guise, before the next group comes.

use crate::prefetch::Prefetch;

/// Samples in a group.
const GROUP: u64 = 64;

/// Use `index` of the stream is a pure function of the index.
pub(crate) struct Groups<T> {
    /// Times that each sample is used.
    uses: u64,
    next: u64,
    fresh: Prefetch<T>,
    group: Vec<T>,
}

/// One use of a sample.
pub(crate) struct Use<'a, T> {
    /// What is used.
    pub(crate) sample: &'a T,
    /// Which sample of the stream it is.
    pub(crate) number: u64,
    /// How often it has been used before.
    pub(crate) used: u64,
    /// Which use of the stream it is.
    pub(crate) index: u64,
}

/// Where use `index` finds its sample: its number, its place in the group, the use of it.
fn place(index: u64, uses: u64) -> (u64, u64, u64) {
    let (group, within) = (index / (GROUP * uses), index % (GROUP * uses));
    (group * GROUP + within % GROUP, within % GROUP, within / GROUP)
}

impl<T: Send + 'static> Groups<T> {
    /// The stream from use `first` on; sample `n` is `make(n)`.
    pub(crate) fn new(first: u64, uses: u64, threads: usize, make: impl Fn(u64) -> T + Send + Sync + 'static) -> Self {
        let (number, member, used) = place(first, uses);
        let mut fresh = Prefetch::new(number - member, threads, GROUP as usize / 2, make);
        let known = if used > 0 { GROUP } else { member };
        let group = fresh.by_ref().take(known as usize).collect();
        Self { uses, next: first, fresh, group }
    }

    /// The next use; `None` when the threads that make samples have died.
    pub(crate) fn next(&mut self) -> Option<Use<'_, T>> {
        let index = self.next;
        let (number, member, used) = place(index, self.uses);
        if used == 0 {
            if member == 0 {
                self.group.clear();
            }
            self.group.push(self.fresh.next()?);
        }
        self.next += 1;
        Some(Use { sample: self.group.get(member as usize)?, number, used, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_comes_as_often() {
        let mut stream = Groups::new(0, 4, 2, |number| 10 * number);
        let mut counts = vec![0; 3 * GROUP as usize];
        for index in 0..3 * GROUP * 4 {
            let next = stream.next().unwrap();
            assert_eq!((*next.sample, next.index), (10 * next.number, index));
            assert_eq!(counts[next.number as usize], next.used);
            counts[next.number as usize] += 1;
        }
        assert!(counts.iter().all(|&count| count == 4));
    }

    #[test]
    fn a_stream_goes_on_anywhere() {
        for first in [3, GROUP - 1, GROUP, GROUP + 5, 4 * GROUP + 2, 7 * GROUP] {
            let mut whole = Groups::new(0, 4, 1, |number| number);
            (0..first).for_each(|_| assert!(whole.next().is_some()));
            let mut late = Groups::new(first, 4, 2, |number| number);
            for _ in 0..100 {
                let (a, b) = (whole.next().unwrap(), late.next().unwrap());
                assert_eq!((*a.sample, a.used, a.index), (*b.sample, b.used, b.index));
            }
        }
    }
}
