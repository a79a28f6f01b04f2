//! Clock frequencies: interpolation between arrays that were placed and routed, or timed with a library's delays.
//!
//! What limits an array's clock is the way through its element and the wires around it: lanes and branches decide the
//! first, the number of elements the second. A frequency is the mean of the measured ones, weighted by the inverse square of
//! their distance in the logarithms of the three. Its error is that of each measured array estimated from the others.

use serde::{Deserialize, Serialize};
use xnorforge_hdl::{ArrayConfig, Design, Structure, Target};

/// A measured array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Its configuration.
    pub configuration: ArrayConfig,
    /// Highest frequency.
    pub mhz: f64,
}

/// Measured arrays of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Clocks {
    points: Vec<([f64; 3], Structure, f64)>,
    error_percent: f64,
}

/// Fewest measured arrays.
const POINTS_MIN: usize = 4;

fn place(config: &ArrayConfig) -> [f64; 3] {
    [
        config.lanes,
        config.activation_branches * config.weight_branches,
        config.rows * config.columns,
    ]
    .map(|size| f64::from(size).log2())
}

impl Clocks {
    /// Of measured arrays; none where there are too few to tell an error.
    pub fn new(clocks: &[Clock]) -> Option<Self> {
        let point = |clock: &Clock| {
            let design = clock.configuration.validate().ok()?;
            let is_number = clock.mhz.is_finite() && clock.mhz > 0.0;
            is_number.then(|| (place(&clock.configuration), design.structure(), clock.mhz))
        };
        let points: Vec<_> = clocks.iter().map(point).collect::<Option<_>>()?;
        if points.len() < POINTS_MIN {
            return None;
        }
        let error = |i: usize| {
            let others = points.iter().enumerate().filter(|(j, _)| *j != i);
            let guess = interpolate(others.map(|(_, p)| p), &points[i].0);
            100.0 * (guess - points[i].2).abs() / points[i].2
        };
        let sum: f64 = (0..points.len()).map(error).sum();
        Some(Clocks {
            error_percent: sum / points.len() as f64,
            points,
        })
    }

    /// The frequency of an array in MHz and its mean error in percent; none beyond the measured sizes and structures.
    pub fn estimate(&self, design: &Design) -> Option<(f64, f64)> {
        let at = place(design.config());
        let same = || self.points.iter().filter(|p| p.1 == design.structure());
        let is_inside = |axis: usize| {
            let least = same().map(|p| p.0[axis]).fold(f64::INFINITY, f64::min);
            let most = same().map(|p| p.0[axis]).fold(0.0, f64::max);
            (least..=most).contains(&at[axis])
        };
        (0..3)
            .all(is_inside)
            .then(|| (interpolate(same(), &at), self.error_percent))
    }
}

fn interpolate<'p>(
    points: impl Iterator<Item = &'p ([f64; 3], Structure, f64)>,
    at: &[f64; 3],
) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (place, _, mhz) in points {
        let squares = place.iter().zip(at).map(|(a, b)| (a - b) * (a - b));
        // Near enough to a measured array to be it.
        let weight = 1.0 / squares.sum::<f64>().max(1e-6);
        sum += weight * mhz;
        weights += weight;
    }
    sum / weights
}

/// Arrays that clocks are measured on: small enough to be placed, with everything that limits a clock.
///
/// # Panics
/// Never: the shapes are legal.
pub fn plan(target: Target) -> Vec<Design> {
    let shapes = [
        (2, 16, 1),
        (2, 64, 1),
        (2, 128, 1),
        (4, 16, 1),
        (4, 64, 1),
        (2, 16, 2),
        (2, 32, 2),
        (4, 32, 1),
    ];
    let design = |(side, lanes, branches): (u32, u32, u32)| {
        let config = ArrayConfig {
            target,
            rows: side,
            columns: side,
            lanes,
            activation_branches: branches,
            weight_branches: branches,
            ..ArrayConfig::default()
        };
        config.validate().ok()
    };
    shapes.into_iter().filter_map(design).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(rows: u32, lanes: u32, mhz: f64) -> Clock {
        Clock {
            configuration: ArrayConfig {
                rows,
                columns: 1,
                lanes,
                ..ArrayConfig::default()
            },
            mhz,
        }
    }

    fn design(rows: u32, lanes: u32) -> Design {
        clock(rows, lanes, 1.0).configuration.validate().unwrap()
    }

    #[test]
    fn measured_arrays_have_their_own_frequency() {
        let measured = [
            clock(1, 16, 300.0),
            clock(1, 64, 250.0),
            clock(4, 16, 280.0),
            clock(4, 64, 230.0),
        ];
        let clocks = Clocks::new(&measured).unwrap();
        for one in &measured {
            let design = one.configuration.validate().unwrap();
            let (mhz, error) = clocks.estimate(&design).unwrap();
            assert!((mhz - one.mhz).abs() < 0.01, "{mhz}");
            assert!(error > 0.0);
        }
        let (between, _) = clocks.estimate(&design(2, 32)).unwrap();
        assert!((between - 265.0).abs() < 0.01, "{between}");
    }

    #[test]
    fn beyond_what_was_measured_there_is_none() {
        let measured: Vec<Clock> = [16, 32, 64, 128].map(|l| clock(2, l, 200.0)).into();
        let clocks = Clocks::new(&measured).unwrap();
        assert!(clocks.estimate(&design(2, 256)).is_none());
        assert!(clocks.estimate(&design(4, 64)).is_none());
        assert!(Clocks::new(&measured[..3]).is_none());
    }
}
