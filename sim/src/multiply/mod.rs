//! Products of bit-packed operands at the speed of the machine.
//!
//! Operands are packed once, to as many bits as their numbers have; a product of M-bit by K-bit numbers in any of the
//! four encodings counts M x K pairs of bit-planes. Results are exact integers, the same at every [`Level`].
//!
//! Two lanes are counted as one bit: with `a1, a2` and `w1, w2` the bits of two lanes and x = xnor(a, w),
//! `x1 + x2 = 2 * B + (w1 ^ w2) - (a1 ^ a2)`, where the pair bit B is x1 or, where the two differences differ,
//! `a1 ^ a2`. The last two terms belong to one operand each and are summed when it is packed. So 1,024 operation pairs
//! take one xor, one choice, one popcount and one addition of 512 bits: half of what the plain xnor, popcount, add takes
//! of the popcount's port, and four instructions instead of six.
//!
//! ```
//! use xnorforge_sim::multiply::{PackedActivations, PackedWeights, multiply};
//! use xnorforge_sim::{Encoding, Operand, Precision};
//!
//! let bipolar = Precision::new(Encoding::Bipolar, 1);
//! let signed = Precision::new(Encoding::Signed, 3);
//! let x = Operand::new("activations", bipolar, 1, 3, vec![1, -1, 1])?;
//! let w = Operand::new("weights", signed, 2, 3, vec![3, -4, 0, 1, 1, 1])?;
//! let (x, w) = (PackedActivations::pack(&x), PackedWeights::pack(&w));
//! assert_eq!(multiply::<i32>(&x, &w)?, [7, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod level;
mod operands;
mod panel;
mod product;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use level::Level;
pub(crate) use operands::PAIRED;
pub use operands::{PackedActivations, PackedWeights};
pub use product::{Integer, multiply, multiply_into};
pub(crate) use product::{Product, multiply_rows};

use crate::gemm::GemmError;

/// Why a product cannot be computed. Each message names the field, the value, the limit and the fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MultiplyError {
    /// Operands or memory that do not fit each other.
    #[error(transparent)]
    Gemm(#[from] GemmError),
    /// Results may be past what the integer holds.
    #[error(
        "results can be as large as {bound}, past the {max} of {integer}; ask for i64 or split the product"
    )]
    Narrow {
        /// The largest result that the operands' shapes and precisions allow.
        bound: i64,
        /// The integer.
        integer: &'static str,
        /// What it holds.
        max: i64,
    },
    /// A level of instructions that this machine does not have.
    #[error("this machine lacks the instructions of level `{0}`; choose `Level::best()`")]
    Level(Level),
}
