//! The machine that was measured, without a name of it.

use std::fs;
use xnorforge_sim::multiply::Level;

/// Processor, cores and instructions, in one sentence.
pub fn description() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let numbers = ["cpu family", "model\t", "stepping"].map(field);
    let numbers = match numbers {
        [Some(family), Some(number), Some(stepping)] => {
            format!(" (family {family}, model {number}, stepping {stepping})")
        }
        _ => String::new(),
    };
    let flags = field("flags").unwrap_or_default();
    let known = [
        "popcnt",
        "avx2",
        "fma",
        "avx512f",
        "avx512_vpopcntdq",
        "avx512_vnni",
    ];
    let flags: Vec<&str> = known
        .into_iter()
        .filter(|known| flags.split(' ').any(|flag| flag == *known))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{model}{numbers}, {cores} core(s), {}; kernels at level `{}`",
        flags.join(" "),
        Level::best()
    )
}
