//! Least squares: how much of each count a feature takes.

use super::features::{GROUPS, Part};
use super::quantities::Quantities;
use super::sample::{Counts, Kinds};
use ndarray::{Array1, Array2};
use std::collections::BTreeMap;

/// Share of a feature's own square that is added to it: features that the designs do not tell apart share what they take.
const RIDGE: f64 = 1e-6;

/// A design and what each group of its modules takes.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The sizes.
    pub quantities: Quantities,
    /// Whether it is an accelerator.
    pub is_accelerator: bool,
    /// What each group takes.
    pub groups: Vec<Counts>,
}

impl Observation {
    /// Of measured kinds.
    ///
    /// # Errors
    /// A kind that no group has.
    pub fn new(
        quantities: Quantities,
        is_accelerator: bool,
        kinds: &Kinds,
    ) -> Result<Self, String> {
        let mut groups = vec![Counts::default(); GROUPS.len()];
        for (kind, counts) in kinds {
            let group = super::features::group_of(kind).ok_or_else(|| kind.clone())?;
            groups[group] += *counts;
        }
        Ok(Observation {
            quantities,
            is_accelerator,
            groups,
        })
    }

    /// What all of it takes.
    pub fn total(&self) -> Counts {
        self.groups.iter().copied().sum()
    }
}

/// Coefficients of every group: for each count, one of each feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    coefficients: Vec<[Vec<f64>; 6]>,
}

impl Fit {
    /// Fits all groups. Errors weigh by what they are of the whole design.
    pub fn new(observations: &[&Observation]) -> Self {
        let coefficients = GROUPS.iter().enumerate().map(|(index, group)| {
            let seen: Vec<&&Observation> = observations
                .iter()
                .filter(|o| group.scope.covers(o.is_accelerator))
                .collect();
            let rows: Vec<Vec<f64>> = seen.iter().map(|o| group.values(&o.quantities)).collect();
            let totals: Vec<[f64; 6]> = seen.iter().map(|o| o.total().values()).collect();
            let counts: Vec<[f64; 6]> = seen.iter().map(|o| o.groups[index].values()).collect();
            std::array::from_fn(|k| {
                let weights: Vec<f64> = totals.iter().map(|t| 1.0 / t[k].max(1.0)).collect();
                let known = |o: &Observation| group.known(&o.quantities).values()[k];
                let counts = counts.iter().zip(&seen);
                let values: Vec<f64> = counts.map(|(c, o)| c[k] - known(o)).collect();
                least_squares(&rows, &values, &weights, group.features.len())
            })
        });
        Fit {
            coefficients: coefficients.collect(),
        }
    }

    /// What each part of a design takes.
    pub fn parts(&self, quantities: &Quantities, is_accelerator: bool) -> BTreeMap<Part, Counts> {
        let mut parts: BTreeMap<Part, Counts> = Part::ALL
            .into_iter()
            .map(|p| (p, Counts::default()))
            .collect();
        for (group, coefficients) in GROUPS.iter().zip(&self.coefficients) {
            if !group.scope.covers(is_accelerator) {
                continue;
            }
            let values = group.values(quantities);
            let known = group.known(quantities).values();
            let count = |k: usize| {
                let terms = coefficients[k].iter().zip(&values).map(|(c, v)| c * v);
                (known[k] + terms.sum::<f64>()).max(0.0)
            };
            *parts.entry(group.part).or_default() += Counts::from(std::array::from_fn(count));
        }
        parts
    }

    /// What all of a design takes.
    pub fn total(&self, quantities: &Quantities, is_accelerator: bool) -> Counts {
        self.parts(quantities, is_accelerator).into_values().sum()
    }
}

/// The coefficients with the smallest sum of weighted squares of errors.
fn least_squares(rows: &[Vec<f64>], values: &[f64], weights: &[f64], features: usize) -> Vec<f64> {
    if values.iter().all(|value| *value == 0.0) {
        return vec![0.0; features];
    }
    let mut a = Array2::from_shape_fn((rows.len(), features), |(i, j)| rows[i][j] * weights[i]);
    let b = Array1::from_shape_fn(rows.len(), |i| values[i] * weights[i]);
    // Each feature to length 1, so that none is small by its unit alone.
    let lengths: Vec<f64> = a.columns().into_iter().map(|c| c.dot(&c).sqrt()).collect();
    for (mut column, length) in a.columns_mut().into_iter().zip(&lengths) {
        if *length > 0.0 {
            column /= *length;
        }
    }
    let mut normal = a.t().dot(&a);
    normal.diag_mut().mapv_inplace(|value| value + RIDGE);
    let solution = solve(normal, a.t().dot(&b));
    let scaled = solution.iter().zip(&lengths);
    scaled
        .map(|(value, length)| if *length > 0.0 { value / length } else { 0.0 })
        .collect()
}

/// Solves a positive definite system by Cholesky's decomposition.
fn solve(mut a: Array2<f64>, mut b: Array1<f64>) -> Array1<f64> {
    let n = b.len();
    for j in 0..n {
        let above: f64 = (0..j).map(|k| a[[j, k]] * a[[j, k]]).sum();
        a[[j, j]] = (a[[j, j]] - above).sqrt();
        for i in j + 1..n {
            let product: f64 = (0..j).map(|k| a[[i, k]] * a[[j, k]]).sum();
            a[[i, j]] = (a[[i, j]] - product) / a[[j, j]];
        }
    }
    for i in 0..n {
        let known: f64 = (0..i).map(|k| a[[i, k]] * b[k]).sum();
        b[i] = (b[i] - known) / a[[i, i]];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| a[[k, i]] * b[k]).sum();
        b[i] = (b[i] - known) / a[[i, i]];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found() {
        let rows: Vec<Vec<f64>> = (0..6).map(|x| vec![1.0, f64::from(x)]).collect();
        let values: Vec<f64> = (0..6).map(|x| 5.0 + 3.0 * f64::from(x)).collect();
        let found = least_squares(&rows, &values, &[1.0; 6], 2);
        assert!(
            (found[0] - 5.0).abs() < 1e-3 && (found[1] - 3.0).abs() < 1e-3,
            "{found:?}"
        );
    }

    #[test]
    fn equal_features_share() {
        let rows: Vec<Vec<f64>> = (1..5).map(|x| vec![f64::from(x), f64::from(x)]).collect();
        let values: Vec<f64> = (1..5).map(|x| 4.0 * f64::from(x)).collect();
        let found = least_squares(&rows, &values, &[1.0; 4], 2);
        assert!(found.iter().all(|c| (c - 2.0).abs() < 1e-3), "{found:?}");
    }
}
