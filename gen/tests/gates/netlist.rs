//! Netlists of an accelerator's core by Yosys, and what their registers and memories hold when the power comes.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use xnorforge_hdl::{Package, Target};

/// Yosys' synthesis for a target, and the models of its cells in Yosys' data folder.
pub struct Flow {
    pub target: Target,
    synthesis: &'static str,
    cells: &'static [&'static str],
}

/// Memories become LUT RAM where Yosys has no model of the device's block RAM, and products become LUTs.
pub const FLOWS: [Flow; 4] = [
    Flow {
        target: Target::Xilinx,
        // Without shift registers in LUTs, as in `sim/tests/gates.rs`.
        synthesis: "synth_xilinx -family xc7 -flatten -noiopad -nowidelut -nosrl -nobram -nodsp -top TOP",
        cells: &["xilinx/cells_sim.v"],
    },
    Flow {
        target: Target::Ecp5,
        synthesis: "synth_ecp5 -nowidelut -nobram -nodsp -top TOP",
        cells: &["ecp5/cells_sim.v"],
    },
    Flow {
        target: Target::Ice40,
        synthesis: "synth_ice40 -top TOP",
        cells: &["ice40/cells_sim.v"],
    },
    Flow {
        target: Target::Asic,
        // Gates and flip-flops; memories stay whole, as macros do.
        synthesis: "hierarchy -top TOP; proc; flatten; opt; memory -nomap; opt; techmap; opt -fast; \
                    abc -g AND,OR,XOR,MUX; opt_clean",
        cells: &["simcells.v", "simlib.v"],
    },
];

/// What registers and memories hold before the first clock edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Nothing known.
    Unknown,
    /// Random bits of a seed.
    Random(u64),
}

impl Power {
    fn bits(self, width: usize, rng: &mut ChaCha8Rng) -> String {
        let bit = |_| match self {
            Power::Unknown => 'x',
            Power::Random(_) => char::from(b'0' + u8::from(rng.random::<bool>())),
        };
        format!("{width}'b{}", (0..width).map(bit).collect::<String>())
    }
}

/// Runs a tool in a folder and gives what it printed. A missing or failing tool fails the test.
pub fn tool(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|e| panic!("{name}: {e}; run scripts/setup"));
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {text}");
    text
}

/// Yosys' data folder, beside the folder of its program.
fn yosys_data() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let mut data = folders
        .filter(|folder| folder.join("yosys").exists())
        .map(|folder| folder.join("../share/yosys"));
    data.find(|data| data.exists())
        .expect("Yosys and its share folder (apt-get install yosys)")
}

impl Flow {
    pub fn of(target: Target) -> &'static Flow {
        let flow = FLOWS.iter().find(|flow| flow.target == target);
        flow.expect("a flow for every target with primitives")
    }

    /// Synthesizes into `gates.v` in a folder, and gives that text.
    pub fn synthesize(&self, package: &Package, folder: &Path) -> String {
        let mut names = String::new();
        let models = package
            .primitives
            .iter()
            .filter(|_| self.target == Target::Asic);
        for file in models.chain(&package.files) {
            // Memories that ask for block RAM would get cells without a model.
            let text = match self.target {
                Target::Ice40 => file.text.clone(),
                _ => file.text.replace("ram_style = \"block\", ", ""),
            };
            std::fs::write(folder.join(&file.name), text).unwrap();
            write!(names, " {}", file.name).unwrap();
        }
        let noexpr = if self.target == Target::Asic {
            "-noexpr"
        } else {
            ""
        };
        let script = format!(
            "read_verilog{names}; {}; write_verilog -noattr {noexpr} gates.v",
            self.synthesis.replace("TOP", &package.top)
        );
        tool(folder, "yosys", &["-Q", "-T", "-q", "-p", &script]);
        std::fs::read_to_string(folder.join("gates.v")).unwrap()
    }

    /// The files with the models of the cells.
    pub fn models(&self) -> Vec<String> {
        let data = yosys_data();
        let path = |cells: &&str| data.join(cells).display().to_string();
        self.cells.iter().map(path).collect()
    }
}

/// Cells of a netlist that Yosys wrote: type and name.
pub fn cells(netlist: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut kind = None;
    for line in netlist.lines() {
        let Some(line) = line.strip_prefix("  ") else {
            continue;
        };
        if let Some(name) = line.strip_prefix(") ").and_then(|l| l.strip_suffix('(')) {
            found.extend(kind.take().map(|kind| (kind, name.trim())));
        } else if let Some(name) = line.strip_suffix(" #(") {
            kind = Some(name.trim_start_matches('\\').trim());
        } else if let Some((kind, name)) = line
            .strip_suffix(" (")
            .and_then(|l| l.trim_start_matches('\\').split_once(' '))
        {
            found.push((kind, name.trim()));
        }
    }
    found
}

/// Statements that give every register and memory of a netlist what it holds when the power comes, and their numbers.
pub fn deposits(netlist: &str, power: Power, rng: &mut ChaCha8Rng) -> (String, usize, usize) {
    let (mut text, mut registers, mut memories) = (String::new(), 0, 0);
    for (kind, name) in cells(netlist) {
        // An escaped name ends with a space.
        let mut put = |place: &str, width: usize, rng: &mut ChaCha8Rng| {
            let bits = power.bits(width, rng);
            writeln!(text, "dut.{name} .{place} = {bits}; \\").unwrap();
        };
        match kind {
            "RAM32M" | "RAM64M" => {
                memories += 1;
                for port in ["mem_a", "mem_b", "mem_c", "mem_d"] {
                    put(port, 64, rng);
                }
            }
            "RAM32X1D" | "RAM64X1D" | "RAM128X1D" => {
                memories += 1;
                put("mem", if kind == "RAM128X1D" { 128 } else { 64 }, rng);
            }
            "TRELLIS_DPR16X4" => {
                memories += 1;
                (0..16).for_each(|word| put(&format!("mem[{word}]"), 4, rng));
            }
            "SB_RAM40_4K" => {
                memories += 1;
                (0..256).for_each(|word| put(&format!("memory[{word}]"), 16, rng));
            }
            _ if is_register(kind) => {
                registers += 1;
                put("Q", 1, rng);
            }
            _ => {}
        }
    }
    (text, registers, memories)
}

fn is_register(kind: &str) -> bool {
    ["FDRE", "FDSE", "TRELLIS_FF"].contains(&kind)
        || kind.starts_with("SB_DFF")
        || (kind.starts_with("$_") && kind.contains("DFF"))
}
