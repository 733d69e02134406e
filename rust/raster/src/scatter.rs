//! Sums of many small contributions into few places, in an order that threads cannot change.

use std::ops::Range;

use rayon::prelude::*;

/// Items one task adds. Fixed, because it decides the order of floating-point sums.
const ITEMS_PER_TASK: usize = 1 << 17;

/// Runs `add(items, sums)` over all of `0..count` in fixed parts, each with sums of its own where there are several, and
/// adds the parts to `sums` in order.
pub(crate) fn scatter<const C: usize>(
    count: usize,
    sums: &mut [[f32; C]],
    add: impl Fn(Range<usize>, &mut [[f32; C]]) + Sync,
) {
    if count <= ITEMS_PER_TASK {
        add(0..count, sums);
        return;
    }
    let length = sums.len();
    let parts: Vec<Vec<[f32; C]>> = (0..count.div_ceil(ITEMS_PER_TASK))
        .into_par_iter()
        .map(|part| {
            let mut own = vec![[0.0; C]; length];
            add(part * ITEMS_PER_TASK..((part + 1) * ITEMS_PER_TASK).min(count), &mut own);
            own
        })
        .collect();
    add_all(sums, &parts, |part| part);
}

/// Adds what every one of `parts` holds to `sums`, in order.
pub(crate) fn add_all<const C: usize, P: Sync>(
    sums: &mut [[f32; C]],
    parts: &[P],
    values: impl Fn(&P) -> &[[f32; C]] + Sync,
) {
    sums.par_iter_mut().with_min_len(4096).enumerate().for_each(|(index, sum)| {
        for part in parts {
            add(sum, values(part)[index]);
        }
    });
}

#[inline]
pub(crate) fn add<const C: usize>(sum: &mut [f32; C], value: [f32; C]) {
    for k in 0..C {
        sum[k] += value[k];
    }
}
