//! Symmetric positive definite systems whose entries lie near the diagonal, as those of small grids do: Cholesky's
//! decomposition inside of the band.

/// The lower half of a symmetric banded matrix, and a right side.
#[derive(Clone, Debug)]
pub(crate) struct BandedSystem {
    size: usize,
    /// Entries left of the diagonal that may differ from 0.
    band: usize,
    /// `[size][band + 1]`, the diagonal last.
    matrix: Vec<f64>,
    /// Right side; the solution after [`BandedSystem::solve`].
    pub(crate) vector: Vec<f64>,
}

impl BandedSystem {
    /// A system of zeros.
    pub(crate) fn new(size: usize, band: usize) -> Self {
        Self { size, band, matrix: vec![0.0; size * (band + 1)], vector: vec![0.0; size] }
    }

    /// Adds `value` at (row, column) and, the matrix being symmetric, at (column, row); only the lower half is stored, so
    /// that every pair has to be added once.
    pub(crate) fn add(&mut self, row: usize, column: usize, value: f64) {
        let (row, column) = (row.max(column), row.min(column));
        debug_assert!(row - column <= self.band);
        self.matrix[row * (self.band + 1) + self.band - (row - column)] += value;
    }

    /// Replaces the right side by the solution; false, and nothing of use, where the matrix is not positive definite.
    pub(crate) fn solve(&mut self) -> bool {
        if !self.factor() {
            return false;
        }
        let mut vector = std::mem::take(&mut self.vector);
        self.forward(&mut vector, 1);
        self.backward(&mut vector);
        self.vector = vector;
        true
    }

    /// Replaces the matrix by its factor L, L Lᵀ being the matrix; false where it is not positive definite.
    pub(crate) fn factor(&mut self) -> bool {
        let (band, width) = (self.band, self.band + 1);
        for row in 0..self.size {
            let first = row.saturating_sub(band);
            for column in first..=row {
                // Rows overlap from the later of their first entries on.
                let start = first.max(column.saturating_sub(band));
                let len = column - start;
                let left = &self.matrix[row * width + band - (row - start)..][..len];
                let above = &self.matrix[column * width + band - (column - start)..][..len];
                let sum: f64 = left.iter().zip(above).map(|(a, b)| a * b).sum();
                let value = self.matrix[row * width + band - (row - column)] - sum;
                self.matrix[row * width + band - (row - column)] = if row > column {
                    value / self.matrix[column * width + band]
                } else if value > 0.0 {
                    value.sqrt()
                } else {
                    return false;
                };
            }
        }
        true
    }

    /// Replaces `sides`, `[size][count]`, by L⁻¹ of them, after [`BandedSystem::factor`].
    pub(crate) fn forward(&self, sides: &mut [f64], count: usize) {
        let (band, width) = (self.band, self.band + 1);
        for row in 0..self.size {
            let (done, rest) = sides.split_at_mut(row * count);
            let current = &mut rest[..count];
            for column in row.saturating_sub(band)..row {
                let factor = self.matrix[row * width + band - (row - column)];
                if factor != 0.0 {
                    for (value, above) in current.iter_mut().zip(&done[column * count..][..count]) {
                        *value -= factor * above;
                    }
                }
            }
            let diagonal = self.matrix[row * width + band];
            for value in current {
                *value /= diagonal;
            }
        }
    }

    /// Replaces `vector` by L⁻ᵀ of it, after [`BandedSystem::factor`].
    pub(crate) fn backward(&self, vector: &mut [f64]) {
        let (band, width) = (self.band, self.band + 1);
        for row in (0..self.size).rev() {
            vector[row] /= self.matrix[row * width + band];
            for column in row.saturating_sub(band)..row {
                vector[column] -= self.matrix[row * width + band - (row - column)] * vector[row];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_and_refuses() {
        let (size, band) = (40, 5);
        let entry = |i: usize, j: usize| {
            let (i, j) = (i.max(j), i.min(j));
            if i == j { 12.0 } else { ((i * 7 + j * 3) as f64).sin() }
        };
        let solution: Vec<f64> = (0..size).map(|k| (k as f64 * 0.7).cos()).collect();
        let mut system = BandedSystem::new(size, band);
        for i in 0..size {
            for j in i.saturating_sub(band)..=i {
                system.add(j, i, entry(i, j));
                system.vector[i] += entry(i, j) * solution[j];
                if i != j {
                    system.vector[j] += entry(i, j) * solution[i];
                }
            }
        }
        assert!(system.solve());
        assert!(system.vector.iter().zip(&solution).all(|(a, b)| (a - b).abs() < 1e-10));
        let mut indefinite = BandedSystem::new(2, 1);
        indefinite.add(0, 0, 1.0);
        indefinite.add(1, 0, 2.0);
        indefinite.add(1, 1, 1.0);
        assert!(!indefinite.solve());
    }
}
