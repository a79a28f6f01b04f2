//! Frequencies of arrays that were measured, and of those between them.
//!
//! What limits an array's clock is the way through its element and the wires around it: lanes and branches decide the
//! first, the number of elements the second. Between measured arrays of the same circuit a frequency is the mean of theirs,
//! weighted by the inverse square of the distance in the logarithms of the three. Its error is that of each of these
//! arrays estimated from the others.

use super::measured::{Circuit, Clocks, Point, size};
use xnorforge_hdl::{ArrayConfig, Design};

/// A frequency, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Frequency {
    /// The array itself was measured.
    Measured {
        /// In MHz.
        mhz: f64,
    },
    /// It lies between measured arrays.
    Interpolated {
        /// In MHz.
        mhz: f64,
        /// Mean error in percent.
        error_percent: f64,
    },
}

impl Frequency {
    /// In MHz.
    pub fn mhz(self) -> f64 {
        match self {
            Frequency::Measured { mhz } | Frequency::Interpolated { mhz, .. } => mhz,
        }
    }

    /// Mean error in percent; none of a measurement.
    pub fn error_percent(self) -> Option<f64> {
        match self {
            Frequency::Measured { .. } => None,
            Frequency::Interpolated { error_percent, .. } => Some(error_percent),
        }
    }
}

/// Fewest measured arrays of a circuit that are interpolated: with fewer there is no telling the error.
const POINTS_MIN: usize = 4;

impl Clocks {
    /// The frequency of an array; none of a circuit of which too few were measured, and beyond the measured sizes.
    pub fn frequency(&self, design: &Design) -> Option<Frequency> {
        if let Some(mhz) = self.find(design) {
            return Some(Frequency::Measured { mhz });
        }
        let circuit = Circuit::of(design);
        let alike = self.points.iter().filter(|point| point.circuit == circuit);
        let alike: Vec<Place> = alike.map(Place::of).collect();
        let at = coordinates(design.config());
        (alike.len() >= POINTS_MIN && is_inside(&alike, &at)).then(|| Frequency::Interpolated {
            mhz: interpolate(alike.iter(), &at),
            error_percent: error_percent(&alike),
        })
    }
}

/// Where a measured array lies.
struct Place {
    at: [f64; 3],
    mhz: f64,
}

impl Place {
    fn of(point: &Point) -> Self {
        Place {
            at: coordinates(&point.array),
            mhz: point.mhz,
        }
    }
}

fn coordinates(config: &ArrayConfig) -> [f64; 3] {
    size(config).map(|size| f64::from(size).log2())
}

fn is_inside(places: &[Place], at: &[f64; 3]) -> bool {
    (0..3).all(|axis| {
        let values = || places.iter().map(|place| place.at[axis]);
        let least = values().fold(f64::INFINITY, f64::min);
        let most = values().fold(0.0, f64::max);
        (least..=most).contains(&at[axis])
    })
}

/// The mean error of each place that is estimated from the others.
fn error_percent(places: &[Place]) -> f64 {
    let error = |(i, place): (usize, &Place)| {
        let others = places.iter().enumerate().filter(|(j, _)| *j != i);
        let guess = interpolate(others.map(|(_, other)| other), &place.at);
        100.0 * (guess - place.mhz).abs() / place.mhz
    };
    places.iter().enumerate().map(error).sum::<f64>() / places.len() as f64
}

fn interpolate<'p>(places: impl Iterator<Item = &'p Place>, at: &[f64; 3]) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for place in places {
        let squares = place.at.iter().zip(at).map(|(a, b)| (a - b) * (a - b));
        // Arrays of the same size may differ in bits: all of them count.
        let weight = 1.0 / squares.sum::<f64>().max(1e-6);
        sum += weight * place.mhz;
        weights += weight;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::super::measured::MeasuredArray;
    use super::*;
    use xnorforge_hdl::BroadcastStages;

    fn array(rows: u32, lanes: u32, mhz: f64) -> MeasuredArray {
        MeasuredArray {
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
        array(rows, lanes, 1.0).configuration.validate().unwrap()
    }

    #[test]
    fn measured_arrays_have_their_own_frequency_and_others_an_error() {
        let measured = [
            array(1, 16, 300.0),
            array(1, 64, 250.0),
            array(4, 16, 280.0),
            array(4, 64, 230.0),
        ];
        let clocks = Clocks::new("tools", &measured).unwrap();
        for one in &measured {
            let design = one.configuration.validate().unwrap();
            let frequency = clocks.frequency(&design).unwrap();
            assert_eq!(frequency, Frequency::Measured { mhz: one.mhz });
            assert_eq!(frequency.error_percent(), None);
        }
        let between = clocks.frequency(&design(2, 32)).unwrap();
        assert!((between.mhz() - 265.0).abs() < 0.01, "{between:?}");
        assert!(between.error_percent().unwrap() > 0.0);
    }

    #[test]
    fn beyond_what_was_measured_there_is_none() {
        let measured: Vec<MeasuredArray> = [16, 32, 64, 128].map(|l| array(2, l, 200.0)).into();
        let clocks = Clocks::new("tools", &measured).unwrap();
        assert!(clocks.frequency(&design(2, 48)).is_some());
        assert!(clocks.frequency(&design(2, 256)).is_none());
        assert!(clocks.frequency(&design(4, 64)).is_none());
        let few = Clocks::new("tools", &measured[..3]).unwrap();
        assert!(few.frequency(&design(2, 48)).is_none());
        assert!(few.frequency(&design(2, 32)).is_some());
    }

    #[test]
    fn other_circuits_are_not_interpolated() {
        let measured: Vec<MeasuredArray> = [16, 32, 64, 128].map(|l| array(2, l, 200.0)).into();
        let clocks = Clocks::new("tools", &measured).unwrap();
        let asked = array(2, 48, 1.0).configuration;
        for other in [
            ArrayConfig {
                broadcast_stages: BroadcastStages::Fixed(2),
                ..asked.clone()
            },
            ArrayConfig {
                activation_bits: 1,
                weight_bits: 1,
                ..asked.clone()
            },
            ArrayConfig {
                popcount_stages: 1,
                ..asked.clone()
            },
        ] {
            assert!(clocks.frequency(&other.validate().unwrap()).is_none());
        }
    }
}
