//! From signs to surface cubes, dual vertices and quads: all that does not depend on where anything is.
//!
//! One pass packs the signs of a grid row into words; word operations on neighbouring rows then find the surface cubes
//! and the crossing edges, so only those are ever visited. A cube's place among the surface cubes is a population count.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::Grid;
use super::tables::{CASES, EDGE_IN_CUBE, NONE, other_axes};
use crate::real::Real;
use crate::{Error, Result};

/// A cube that the surface passes through.
#[derive(Clone, Copy, Default)]
pub(super) struct Cube {
    /// Place in the grid.
    pub(super) at: [u16; 3],
    /// Case after neighbours were resolved, see [`super::tables::Case::paired_face`].
    pub(super) case: u8,
    /// Index of its first dual vertex; the others follow.
    pub(super) first_dual: u32,
}

/// A dual vertex: one patch of a surface cube.
#[derive(Clone, Copy, Default)]
pub(super) struct Dual {
    /// Index of its surface cube.
    pub(super) cube: u32,
    /// Bit set of its local edges.
    pub(super) edges: u16,
    /// Index of its first deviation; one follows for every edge, ascending.
    pub(super) first_deviation: u32,
}

/// A quad around a crossing grid edge, in winding order.
pub(super) struct Quad {
    pub(super) duals: [u32; 4],
    /// Surface cubes of the dual vertices.
    pub(super) cubes: [u32; 4],
    /// The grid edge as local edge of those cubes.
    edges: [u8; 4],
}

/// Axes of the edges that start at a vertex, ascending by the vertex where they end: y edges point down.
const AXES_BY_SECOND_VERTEX: [usize; 3] = [1, 2, 0];

/// All buffers are kept between extractions.
#[derive(Default)]
pub(super) struct Topology {
    grid: Grid,
    /// Words of a row of vertices or cubes; the last one has bits to spare.
    words: usize,
    /// One bit a vertex, set where it is inside.
    inside: Vec<u64>,
    /// One bit a cube, set where the surface passes.
    surface: Vec<u64>,
    /// Surface cubes before each word of `surface`.
    rank: Vec<u32>,
    /// Cases before neighbours are resolved.
    raw_cases: Vec<u8>,
    /// Surface cubes, ascending by id, and those ids.
    pub(super) cubes: Vec<Cube>,
    pub(super) ids: Vec<u32>,
    /// Surface cubes before each layer of constant x.
    pub(super) layer_start: Vec<usize>,
    /// Ascending by the number of patches of their cube, then as the cubes, then as the patches of the case.
    pub(super) duals: Vec<Dual>,
    pub(super) deviations: usize,
    /// Quads before each plane of vertices of constant x.
    pub(super) quad_start: Vec<usize>,
    /// `4 * quad + corner` for every deviation's edge, or `NO_QUAD`. Kept in training only.
    quad_corners: Vec<AtomicU32>,
}

/// Marks an edge on the border of the grid, which gets no quad.
const NO_QUAD: u32 = u32::MAX;

impl Topology {
    pub(super) fn new(grid: Grid) -> Self {
        let [rx, ry, rz] = grid.resolution();
        let words = rz / 64 + 1;
        Self {
            grid,
            words,
            inside: vec![0; (rx + 1) * (ry + 1) * words],
            surface: vec![0; rx * ry * words],
            rank: vec![0; rx * ry * words],
            ..Self::default()
        }
    }

    /// Finds surface cubes, dual vertices and the number of quads. `sdf` has one finite value a grid vertex.
    pub(super) fn update<T: Real>(&mut self, sdf: &[T], training: bool) -> Result<()> {
        self.pack_signs(sdf)?;
        self.find_surface();
        self.list_cubes();
        self.resolve_pairs();
        self.number_duals();
        self.count_quads();
        self.quad_corners.clear();
        if training {
            self.quad_corners.resize_with(self.deviations, || AtomicU32::new(NO_QUAD));
        }
        Ok(())
    }

    fn pack_signs<T: Real>(&mut self, sdf: &[T]) -> Result<()> {
        let [_, ry, rz] = self.grid.resolution();
        let planes = self.inside.par_chunks_mut((ry + 1) * self.words).zip(sdf.par_chunks((ry + 1) * (rz + 1)));
        let all_finite = planes
            .map(|(packed, values)| {
                let rows = packed.chunks_exact_mut(self.words).zip(values.chunks_exact(rz + 1));
                rows.fold(true, |finite, (packed, values)| pack_row(values, packed) & finite)
            })
            .reduce(|| true, |a, b| a & b);
        if all_finite {
            return Ok(());
        }
        let index = sdf.iter().position(|value| !value.is_finite()).unwrap_or_default();
        Err(Error::NotFinite { what: "signed distance", index, remedy: "give a finite value at every grid vertex" })
    }

    fn find_surface(&mut self) {
        let Self { grid, words, inside, surface, rank, layer_start, .. } = self;
        let ([rx, ry, rz], words) = (grid.resolution(), *words);
        let counts: Vec<usize> = surface
            .par_chunks_mut(ry * words)
            .zip(rank.par_chunks_mut(ry * words))
            .enumerate()
            .map(|(i, (surface, rank))| {
                let mut count = 0;
                for j in 0..ry {
                    let rows = [(0, 0), (1, 0), (0, 1), (1, 1)]
                        .map(|(di, dj)| &inside[((i + di) * (ry + 1) + j + dj) * words..][..words]);
                    for word in 0..words {
                        let (mut any, mut all) = (0, !0);
                        for row in rows {
                            let [here, above] = with_next(row, word);
                            any |= here | above;
                            all &= here & above;
                        }
                        let found = any & !all & bits_below(rz, word);
                        surface[j * words + word] = found;
                        rank[j * words + word] = count as u32;
                        count += found.count_ones() as usize;
                    }
                }
                count
            })
            .collect();
        prefix_sums(&counts, layer_start);
        rank.par_chunks_mut(ry * words).zip(&layer_start[..rx]).for_each(|(rank, &start)| {
            for rank in rank {
                *rank += start as u32;
            }
        });
    }

    fn list_cubes(&mut self) {
        let Self { grid, words, inside, surface, raw_cases, cubes, ids, layer_start, .. } = self;
        let ([rx, ry, _], words) = (grid.resolution(), *words);
        let count = layer_start[rx];
        raw_cases.resize(count, 0);
        cubes.resize(count, Cube::default());
        ids.resize(count, 0);
        let layers = split(cubes, layer_start).zip(split(ids, layer_start)).zip(split(raw_cases, layer_start));
        let layers: Vec<_> = layers.enumerate().filter(|(_, (_, cases))| !cases.is_empty()).collect();
        layers.into_par_iter().for_each(|(i, ((cubes, ids), cases))| {
            let mut next = 0;
            for j in 0..ry {
                let rows = [(0, 0), (1, 0), (0, 1), (1, 1)]
                    .map(|(di, dj)| &inside[((i + di) * (ry + 1) + j + dj) * words..][..words]);
                for word in 0..words {
                    let mut found = surface[(i * ry + j) * words + word];
                    if found == 0 {
                        continue;
                    }
                    let corners = rows.map(|row| with_next(row, word));
                    while found != 0 {
                        let bit = found.trailing_zeros();
                        found &= found - 1;
                        let k = word * 64 + bit as usize;
                        let mut case = 0;
                        for (corner, [here, above]) in corners.iter().enumerate() {
                            case |= (here >> bit & 1) << corner | (above >> bit & 1) << (corner + 4);
                        }
                        cases[next] = case as u8;
                        cubes[next] = Cube { at: [i as u16, j as u16, k as u16], case: case as u8, first_dual: 0 };
                        ids[next] = grid.cube(i, j, k) as u32;
                        next += 1;
                    }
                }
            }
        });
    }

    fn resolve_pairs(&mut self) {
        let mut cubes = std::mem::take(&mut self.cubes);
        let resolution = self.grid.resolution();
        cubes.par_iter_mut().with_min_len(1024).for_each(|cube| {
            let face = CASES[cube.case as usize].paired_face;
            if face == NONE {
                return;
            }
            let (axis, up) = (face as usize >> 1, face & 1 == 1);
            let mut at = cube.at.map(usize::from);
            if at[axis] == if up { resolution[axis] - 1 } else { 0 } {
                return;
            }
            at[axis] = if up { at[axis] + 1 } else { at[axis] - 1 };
            // An ambiguous face has both signs, so the cube behind it is on the surface too.
            let neighbour = self.raw_cases[self.index_of(at) as usize];
            if CASES[neighbour as usize].paired_face != NONE {
                cube.case = 255 - cube.case;
            }
        });
        self.cubes = cubes;
    }

    fn number_duals(&mut self) {
        let mut cubes_with = [0u32; 5];
        for cube in &self.cubes {
            cubes_with[CASES[cube.case as usize].count as usize] += 1;
        }
        // The next dual vertex of a cube with n patches.
        let mut next = [0; 5];
        let mut total = 0;
        for count in 1..5 {
            next[count] = total;
            total += cubes_with[count] * count as u32;
        }
        self.duals.clear();
        self.duals.resize(total as usize, Dual::default());
        for (index, cube) in self.cubes.iter_mut().enumerate() {
            let case = &CASES[cube.case as usize];
            let first = next[case.count as usize];
            next[case.count as usize] += u32::from(case.count);
            cube.first_dual = first;
            for (rank, &edges) in case.patches[..case.count as usize].iter().enumerate() {
                self.duals[first as usize + rank] = Dual { cube: index as u32, edges, first_deviation: 0 };
            }
        }
        let mut deviations = 0;
        for dual in &mut self.duals {
            dual.first_deviation = deviations;
            deviations += dual.edges.count_ones();
        }
        self.deviations = deviations as usize;
    }

    fn count_quads(&mut self) {
        let [rx, ry, _] = self.grid.resolution();
        let counts: Vec<usize> = (0..=rx)
            .into_par_iter()
            .map(|i| {
                let rows = (0..=ry).flat_map(|j| (0..self.words).map(move |word| (j, word)));
                rows.flat_map(|(j, word)| self.crossings(i, j, word)).map(|bits| bits.count_ones() as usize).sum()
            })
            .collect();
        prefix_sums(&counts, &mut self.quad_start);
    }

    pub(super) fn quads(&self) -> usize {
        self.quad_start.last().copied().unwrap_or(0)
    }

    /// Calls `emit` for every quad whose edge starts in the plane `i` of vertices: ascending by (first, second) vertex of
    /// the directed edge.
    pub(super) fn for_quads_of_plane(&self, i: usize, mut emit: impl FnMut(Quad)) {
        let [_, ry, _] = self.grid.resolution();
        for j in 0..=ry {
            for word in 0..self.words {
                let crossings = self.crossings(i, j, word);
                let inside = self.inside[(i * (ry + 1) + j) * self.words + word];
                let mut any = crossings[0] | crossings[1] | crossings[2];
                while any != 0 {
                    let bit = any.trailing_zeros();
                    any &= any - 1;
                    for (crossings, axis) in crossings.iter().zip(AXES_BY_SECOND_VERTEX) {
                        if crossings >> bit & 1 == 1 {
                            let k = word * 64 + bit as usize;
                            let at = [i, if axis == 1 { j - 1 } else { j }, k];
                            emit(self.quad(axis, at, inside >> bit & 1 == 1));
                        }
                    }
                }
            }
        }
    }

    /// Bit sets of the vertices `(i, j, 64 * word + bit)` at which a crossing edge with four cubes starts, along each of
    /// [`AXES_BY_SECOND_VERTEX`].
    fn crossings(&self, i: usize, j: usize, word: usize) -> [u64; 3] {
        let [rx, ry, rz] = self.grid.resolution();
        let row = |i: usize, j: usize| &self.inside[(i * (ry + 1) + j) * self.words..][..self.words];
        let (inner_i, inner_j) = (0 < i && i < rx, 0 < j && j < ry);
        let inner_k = bits_below(rz, word) & if word == 0 { !1 } else { !0 };
        let [here, above] = with_next(row(i, j), word);
        [
            if inner_i && j > 0 { (here ^ row(i, j - 1)[word]) & inner_k } else { 0 },
            if inner_i && inner_j { (here ^ above) & bits_below(rz, word) } else { 0 },
            if i < rx && inner_j { (here ^ row(i + 1, j)[word]) & inner_k } else { 0 },
        ]
    }

    /// The quad around the edge from vertex `at` up `axis`; `first_inside` is the sign at the start of the directed edge.
    fn quad(&self, axis: usize, at: [usize; 3], first_inside: bool) -> Quad {
        let (p, q) = other_axes(axis);
        let order = if first_inside { [2, 3, 1, 0] } else { [0, 1, 3, 2] };
        let cubes = order.map(|rank| {
            let mut cube = at;
            cube[p] = cube[p] + (rank >> 1) - 1;
            cube[q] = cube[q] + (rank & 1) - 1;
            self.index_of(cube)
        });
        let edges = order.map(|rank| EDGE_IN_CUBE[axis][rank]);
        let mut duals = [0; 4];
        for corner in 0..4 {
            let cube = self.cubes[cubes[corner] as usize];
            let patch = CASES[cube.case as usize].patch_of_edge[edges[corner] as usize];
            duals[corner] = cube.first_dual + u32::from(patch);
        }
        Quad { duals, cubes, edges }
    }

    /// Remembers the quad of index `index` at the four deviations of its edge.
    pub(super) fn remember_quad(&self, index: usize, quad: &Quad) {
        for corner in 0..4 {
            let dual = self.duals[quad.duals[corner] as usize];
            let before = dual.edges & ((1 << quad.edges[corner]) - 1);
            let deviation = dual.first_deviation + before.count_ones();
            // Every deviation belongs to one quad, so the order of threads does not matter.
            self.quad_corners[deviation as usize].store((4 * index + corner) as u32, Ordering::Relaxed);
        }
    }

    /// (quad, corner) of every deviation of a dual vertex whose edge has a quad. Empty unless training.
    pub(super) fn quads_of(&self, dual: &Dual) -> impl Iterator<Item = (usize, usize)> {
        let start = dual.first_deviation as usize;
        let corners = self.quad_corners.get(start..start + dual.edges.count_ones() as usize).unwrap_or(&[]);
        corners.iter().map(|corner| corner.load(Ordering::Relaxed)).filter(|&corner| corner != NO_QUAD).map(|corner| {
            let corner = corner as usize;
            (corner / 4, corner % 4)
        })
    }

    /// Index among the surface cubes of a cube that the surface passes through.
    fn index_of(&self, [i, j, k]: [usize; 3]) -> u32 {
        let [_, ry, _] = self.grid.resolution();
        let word = (i * ry + j) * self.words + k / 64;
        let before = self.surface[word] & ((1 << (k % 64)) - 1);
        self.rank[word] + before.count_ones()
    }
}

/// Packs the signs of a row, one bit a vertex, and tells whether all values are finite.
fn pack_row<T: Real>(values: &[T], packed: &mut [u64]) -> bool {
    let mut finite = true;
    for (values, packed) in values.chunks(64).zip(packed) {
        let (bytes, rest) = values.as_chunks();
        *packed = 0;
        for (index, values) in bytes.iter().enumerate() {
            *packed |= pack_byte(values) << (8 * index);
            finite &= values.iter().fold(true, |finite, value| finite & value.is_finite());
        }
        for (index, value) in rest.iter().enumerate() {
            *packed |= u64::from(*value < T::ZERO) << (8 * bytes.len() + index);
            finite &= value.is_finite();
        }
    }
    finite
}

/// Signs of eight values as the bits of a byte. The comparisons vectorise; the product gathers the lowest bits of eight
/// bytes in its highest byte.
fn pack_byte<T: Real>(values: &[T; 8]) -> u64 {
    u64::from_le_bytes(values.map(|value| u8::from(value < T::ZERO))).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Bits `bit` of a word with `64 * word + bit < end`.
fn bits_below(end: usize, word: usize) -> u64 {
    match end.saturating_sub(word * 64) {
        count @ 0..64 => (1 << count) - 1,
        _ => !0,
    }
}

/// The word of a row and the word of the same row shifted by one, so that bit k is the one of k + 1.
fn with_next(row: &[u64], word: usize) -> [u64; 2] {
    let next = row.get(word + 1).copied().unwrap_or(0);
    [row[word], row[word] >> 1 | next << 63]
}

/// `sums[n]` becomes the sum of the first n counts.
fn prefix_sums(counts: &[usize], sums: &mut Vec<usize>) {
    sums.clear();
    sums.push(0);
    let mut sum = 0;
    sums.extend(counts.iter().map(|count| {
        sum += count;
        sum
    }));
}

/// The parts of a buffer between consecutive starts, which begin with 0.
pub(super) fn split<'a, X>(mut rest: &'a mut [X], starts: &'a [usize]) -> impl Iterator<Item = &'a mut [X]> {
    starts.windows(2).map(move |range| {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(range[1] - range[0]);
        rest = after;
        part
    })
}
