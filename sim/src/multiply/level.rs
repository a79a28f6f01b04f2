//! Which instructions the kernels use: chosen at run time.

use super::MultiplyError;
use super::panel::Panel;
use super::product::Integer;
use super::tile;
#[cfg(target_arch = "x86_64")]
use super::x86;
use std::fmt;

/// The instructions that count bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What every machine of the architecture has.
    Portable,
    /// AVX2: bits of bytes from a table of half bytes, 256 bits at a time.
    Avx2,
    /// AVX-512 with VPOPCNTDQ: 512 bits at a time.
    Avx512,
}

impl Level {
    /// Every level, the widest last.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// The widest that this machine has.
    pub fn best() -> Level {
        Level::best_checked().0
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        self.check().is_ok()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512-vpopcntdq",
        }
    }

    pub(super) fn best_checked() -> Checked {
        let levels = Level::ALL.into_iter().rev();
        levels
            .filter_map(|level| level.check().ok())
            .next()
            .unwrap_or(Checked(Level::Portable))
    }

    pub(super) fn check(self) -> Result<Checked, MultiplyError> {
        let is_available = match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86::has_avx512(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        };
        if is_available {
            Ok(Checked(self))
        } else {
            Err(MultiplyError::Level(self))
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A level that this machine has; only [`Level::check`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked(Level);

impl Checked {
    /// Multiplies a panel by all columns.
    #[cfg_attr(target_arch = "x86_64", allow(unsafe_code))] // calls of functions compiled for what was checked
    pub fn multiply<T: Integer>(self, panel: &Panel<'_, T>, results: &mut [T]) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Level::check` found every feature that this function is compiled for.
            Level::Avx512 => unsafe { x86::multiply_avx512(panel, results) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { x86::multiply_avx2(panel, results) },
            _ => panel.multiply(results, tile::count::<1>, tile::count::<2>),
        }
    }
}
