//! Every latency of the array, as closed formulas, in one place.
//!
//! Let D be the popcount's pipeline stages and R the rows. A tile of T beats whose first beat is accepted in
//! cycle 0, on an idle array and without stalls, has its last beat accepted in cycle T - 1, its sums complete
//! in cycle T + D, its rows in the drain from cycle T + D + 1 and its last row accepted at the result port in
//! cycle T + D + R + 3. The next tile computes meanwhile; it is held back only if it has fewer than R beats. With B > 0
//! broadcast stages the rows reach the result port B + 5 cycles later, and everything else stays.

use crate::config::Design;

/// Cycles between the acceptance of a tile's last beat and the cycle in which its sums stand complete.
pub fn compute_latency(design: &Design) -> u64 {
    u64::from(design.latency()) + 1
}

/// Stages of the epilogue of a design with broadcast stages: it never stalls.
pub const FLOW_STAGES: u32 = 6;

/// Cycles that a row spends in the buffer at the result port of a design with broadcast stages, if nothing is before it: one
/// in the memory, one behind it.
pub const BUFFER_STAGES: u32 = 2;

/// Cycles from complete sums to the first row's appearance at the result port.
pub fn drain_latency(design: &Design) -> u64 {
    // One into the drain, and through two stages of the epilogue and the skid buffer.
    match design.broadcast_stages() {
        0 => 4,
        stages => 1 + u64::from(stages + FLOW_STAGES + BUFFER_STAGES),
    }
}

/// Rows that may be under way between the drain and the result port of a design with broadcast stages: as many as leave the
/// drain until the first one's credit is back.
pub fn row_credits(design: &Design) -> u32 {
    design.broadcast_stages() + FLOW_STAGES + BUFFER_STAGES + 1
}

/// Beats of one tile: chunks of the reduction x groups of activation branches x groups of weight branches.
pub fn tile_beats(chunks: u64, activation_groups: u64, weight_groups: u64) -> u64 {
    chunks * activation_groups * weight_groups
}

/// Cycles from the first beat's acceptance to the last result's, both included, for `tiles` tiles of `beats`
/// beats each, back to back, with a source that always offers and a sink that always takes.
pub fn total_cycles(design: &Design, tiles: u64, beats: u64) -> u64 {
    if tiles == 0 || beats == 0 {
        return 0;
    }
    let rows = u64::from(design.config().rows);
    beats
        + (tiles - 1) * tile_period(design, beats)
        + compute_latency(design)
        + drain_latency(design)
        + rows
        - 1
}

/// Cycles between the completions of two tiles in steady state: the beats, or the rows if draining is slower.
pub fn tile_period(design: &Design, beats: u64) -> u64 {
    beats.max(u64::from(design.config().rows))
}
