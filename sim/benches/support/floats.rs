//! Products of 32-bit floats, row-major: `c[m][n] = sum_k a[m][k] * b[k][n]`.

#![allow(unsafe_code)] // both crates take pointers

use gemm_common::Parallelism;

/// A square product.
pub struct Floats {
    pub size: usize,
    pub a: Vec<f32>,
    pub b: Vec<f32>,
    /// `b` with rows and columns swapped.
    pub b_swapped: Vec<f32>,
}

impl Floats {
    /// Numbers +1 and -1, so that every sum is exact.
    pub fn of(size: usize, a: &[i32], b_swapped: &[i32]) -> Self {
        let float = |values: &[i32]| -> Vec<f32> { values.iter().map(|v| *v as f32).collect() };
        let b_swapped = float(b_swapped);
        let mut b = vec![0.0; size * size];
        for (n, row) in b_swapped.chunks_exact(size).enumerate() {
            for (k, value) in row.iter().enumerate() {
                b[k * size + n] = *value;
            }
        }
        Floats {
            size,
            a: float(a),
            b,
            b_swapped,
        }
    }

    /// The triple loop as it is written down: rows, columns, sum; the first `rows` rows of the result.
    pub fn naive(&self, rows: usize, c: &mut [f32]) {
        let n = self.size;
        for i in 0..rows {
            for j in 0..n {
                let mut sum = 0.0;
                for k in 0..n {
                    sum += self.a[i * n + k] * self.b[k * n + j];
                }
                c[i * n + j] = sum;
            }
        }
    }

    /// The same with `b` swapped before, so that both are read along lines.
    pub fn naive_swapped(&self, rows: usize, c: &mut [f32]) {
        let n = self.size;
        for i in 0..rows {
            let a = &self.a[i * n..][..n];
            for j in 0..n {
                let b = &self.b_swapped[j * n..][..n];
                c[i * n + j] = a.iter().zip(b).map(|(a, b)| a * b).sum();
            }
        }
    }

    /// By the crate `matrixmultiply`.
    pub fn matrixmultiply(&self, c: &mut [f32]) {
        let n = self.size;
        assert!(c.len() == n * n && self.a.len() == n * n && self.b.len() == n * n);
        let (row, column) = (n as isize, 1);
        // SAFETY: all three hold n lines of n numbers, and `c` is borrowed alone.
        unsafe {
            matrixmultiply::sgemm(
                n,
                n,
                n,
                1.0,
                self.a.as_ptr(),
                row,
                column,
                self.b.as_ptr(),
                row,
                column,
                0.0,
                c.as_mut_ptr(),
                row,
                column,
            );
        }
    }

    /// By the crate `gemm`, on one thread. Its kernels write columns, so it is given the swapped product, as `gemm::gemm`
    /// does with rows.
    pub fn gemm(&self, c: &mut [f32]) {
        let n = self.size;
        assert!(c.len() == n * n && self.a.len() == n * n && self.b.len() == n * n);
        let (column, row) = (n as isize, 1);
        let multiply = gemm_f32::gemm::f32::get_gemm_fn();
        // SAFETY: all three hold n lines of n numbers, and `c` is borrowed alone.
        unsafe {
            multiply(
                n,
                n,
                n,
                c.as_mut_ptr(),
                column,
                row,
                false,
                self.b.as_ptr(),
                column,
                row,
                self.a.as_ptr(),
                column,
                row,
                0.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}
