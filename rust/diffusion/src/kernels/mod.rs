//! CPU kernels over flat `f32` slices: what candle's CPU backend leaves on the table.
//!
//! Matrix products go through faer, whose kernels were measured at 1.8 times the speed of candle's on AVX-512;
//! everything else is written so that the compiler vectorises it. Work is cut into tiles whose sizes do not depend on
//! the number of threads and no tile adds into another's output, so results are the same on any number of threads.
//! Long kernels ask for cancellation at every tile and then leave their output unfinished; the layer that called them
//! notices and drops it.

pub mod attention;
pub mod conv;
pub mod linear;
pub mod norm;
pub mod pointwise;
pub mod vector;

use faer::{Accum, MatMut, MatRef, Par};

/// Asked between tiles; true stops the kernel.
pub type Stop<'a> = dyn Fn() -> bool + Sync + 'a;

/// `out = a b`, or `out += a b`, on this thread.
fn multiply(out: MatMut<'_, f32>, add: bool, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    let accumulate = if add { Accum::Add } else { Accum::Replace };
    faer::linalg::matmul::matmul(out, accumulate, a, b, 1.0, Par::Seq);
}

/// One tile of a matrix: its first row and column, and itself.
struct Tile<'a> {
    row: usize,
    column: usize,
    part: MatMut<'a, f32>,
}

/// Cuts a matrix into tiles of at most `rows` x `columns`.
fn tiles(whole: MatMut<'_, f32>, rows: usize, columns: usize) -> Vec<Tile<'_>> {
    let mut out = Vec::new();
    let mut below = whole;
    let mut row = 0;
    while below.nrows() > 0 {
        let (mut right, rest) = {
            let cut = rows.min(below.nrows());
            below.split_at_row_mut(cut)
        };
        let mut column = 0;
        let height = right.nrows();
        while right.ncols() > 0 {
            let cut = columns.min(right.ncols());
            let (part, rest) = right.split_at_col_mut(cut);
            out.push(Tile { row, column, part });
            column += cut;
            right = rest;
        }
        row += height;
        below = rest;
    }
    out
}

/// The row of a row-major tile as a slice.
fn row_mut<'a>(part: &'a mut MatMut<'_, f32>, row: usize) -> &'a mut [f32] {
    part.as_mut()
        .row_mut(row)
        .try_as_row_major_mut()
        .expect("tiles of row-major matrices have contiguous rows")
        .as_slice_mut()
}
