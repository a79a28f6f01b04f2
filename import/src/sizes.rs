//! Sizes of windows as descriptions in TOML write them.

use serde::Deserialize;

/// One number for both directions, a pair, or four sides.
#[derive(Clone, Copy, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a whole number, or a list of two ([y, x]) or four ([top, left, bottom, right], for `padding` alone)"
)]
pub(crate) enum Size {
    One(u32),
    Two([u32; 2]),
    Four([u32; 4]),
}

impl Size {
    /// Height and width; the four sides where there are so many.
    pub fn pair(self) -> Result<(u32, u32), [u32; 4]> {
        match self {
            Size::One(size) => Ok((size, size)),
            Size::Two([y, x]) => Ok((y, x)),
            Size::Four(sides) => Err(sides),
        }
    }

    /// Top, left, bottom, right.
    pub fn sides(self) -> [u32; 4] {
        match self {
            Size::One(size) => [size; 4],
            Size::Two([y, x]) => [y, x, y, x],
            Size::Four(sides) => sides,
        }
    }
}
