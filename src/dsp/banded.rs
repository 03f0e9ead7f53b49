//! A matrix whose rows are zero but for one short run: mel filter banks and their transposes.

/// Rows of (first column, weights).
#[derive(Debug, Clone, PartialEq)]
pub struct BandedMatrix {
    rows: Vec<(usize, Vec<f32>)>,
    columns: usize,
}

impl BandedMatrix {
    /// From a dense [rows, columns] matrix, row after row.
    ///
    /// # Panics
    /// If `dense` is no multiple of `columns`.
    pub fn new(dense: &[f32], columns: usize) -> Self {
        assert_eq!(dense.len() % columns, 0);
        let mut matrix = Self::empty(columns);
        dense.chunks_exact(columns).for_each(|row| matrix.push(row));
        matrix
    }

    /// Without rows.
    pub fn empty(columns: usize) -> Self {
        Self { rows: vec![], columns }
    }

    /// Appends a row, zeros included.
    ///
    /// # Panics
    /// If `row` has not `columns` numbers.
    pub fn push(&mut self, row: &[f32]) {
        assert_eq!(row.len(), self.columns);
        let first = row.iter().position(|&w| w != 0.0).unwrap_or(0);
        let end = row.iter().rposition(|&w| w != 0.0).map_or(first, |last| last + 1);
        self.rows.push((first, row[first..end].to_vec()));
    }

    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// First column and weights of row `r`; all other weights are 0.
    pub fn row(&self, r: usize) -> (usize, &[f32]) {
        let (first, weights) = &self.rows[r];
        (*first, weights)
    }

    pub fn transposed(&self) -> Self {
        let mut dense = vec![0.0; self.columns * self.rows.len()];
        for (r, (first, weights)) in self.rows.iter().enumerate() {
            for (i, w) in weights.iter().enumerate() {
                dense[(first + i) * self.rows.len() + r] = *w;
            }
        }
        Self::new(&dense, self.rows.len())
    }

    /// The sum of each row.
    pub fn row_sums(&self) -> Vec<f32> {
        self.rows.iter().map(|(_, weights)| weights.iter().sum()).collect()
    }

    /// `out[r] = sum over c of self[r, c] x[c]`.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        for ((first, weights), o) in self.rows.iter().zip(out) {
            *o = weights.iter().zip(&x[*first..]).map(|(w, x)| w * x).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_multiplies_as_the_dense_matrix_does() {
        let dense = [0.0, 1.0, 2.0, 0.0, /**/ 0.0, 0.0, 0.0, 0.0, /**/ 3.0, 0.0, 4.0, 5.0];
        let matrix = BandedMatrix::new(&dense, 4);
        let (mut out, mut back) = ([9.0; 3], [9.0; 4]);
        matrix.apply(&[1.0, 10.0, 100.0, 1000.0], &mut out);
        assert_eq!(out, [210.0, 0.0, 5403.0]);
        matrix.transposed().apply(&[1.0, 10.0, 100.0], &mut back);
        assert_eq!(back, [300.0, 1.0, 402.0, 500.0]);
        assert_eq!(matrix.row_sums(), [3.0, 0.0, 12.0]);
    }
}
