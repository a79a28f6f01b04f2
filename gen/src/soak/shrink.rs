//! Makes a failing case smaller, one size after the other.

use super::limits::Knob;
use super::limits::Limits;

/// The limits under which a case still fails and none of its sizes can be lowered alone. `fails` runs the case within
/// limits and gives its sizes if it fails; it gives none if it passes, if there is nothing within the limits, or if no
/// more time is to be spent.
pub fn shrink(
    limits: &Limits,
    sizes: Vec<(Knob, u32)>,
    mut fails: impl FnMut(&Limits) -> Option<Vec<(Knob, u32)>>,
) -> Limits {
    let (mut limits, mut sizes) = (limits.clone(), sizes);
    loop {
        let before = limits.clone();
        for knob in Knob::ALL {
            let value = |sizes: &[(Knob, u32)]| {
                let found = sizes.iter().find(|(k, _)| *k == knob);
                found.map(|(_, value)| *value)
            };
            // Sizes depend on each other, and a failure may come and go with one: bisection finds a small value, and
            // the next round tries again.
            let (Some(mut high), mut low) = (value(&sizes), knob.least()) else {
                continue;
            };
            while low < high {
                // The least first: it often fails too.
                let middle = match low == knob.least() {
                    true => low,
                    false => low + (high - low) / 2,
                };
                let tried = limits.with(knob, middle);
                match fails(&tried) {
                    Some(found) => {
                        (limits, sizes) = (tried, found);
                        high = value(&sizes).unwrap_or(middle).min(middle);
                    }
                    None => low = middle + 1,
                }
            }
        }
        if limits == before {
            return limits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_sizes_that_fail_are_found() {
        let start = vec![
            (Knob::Stalls, 1),
            (Knob::Rows, 9),
            (Knob::Columns, 17),
            (Knob::Lanes, 100),
        ];
        let mut runs = 0;
        let limits = shrink(&Limits::default(), start.clone(), |limits| {
            runs += 1;
            let sizes = start.iter();
            let sizes: Vec<_> = sizes.map(|(k, v)| (*k, limits.bound(*k, *v))).collect();
            let of = |knob| limits.bound(knob, u32::MAX);
            let fails = of(Knob::Lanes) >= 33 && of(Knob::Columns) >= 3;
            fails.then_some(sizes)
        });
        assert_eq!(limits.to_string(), "stalls=0,rows=1,columns=3,lanes=33");
        assert!(runs < 40, "{runs}");
    }
}
