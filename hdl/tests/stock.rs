//! Our emitter against RustHDL's stock generator: Yosys proves that both texts behave alike, for every block at small
//! sizes, from equal initial states over a bounded number of cycles (for blocks without registers: always).

use rust_hdl_core::block::Block;
use std::path::Path;
use std::process::Command;
use xnorforge_hdl::accelerator::AcceleratorDesign;
use xnorforge_hdl::emit::{self, Package, PortDirection};
use xnorforge_hdl::hardware::accelerator::*;
use xnorforge_hdl::hardware::broadcast::*;
use xnorforge_hdl::hardware::*;
use xnorforge_hdl::popcount::PopcountPlan;
use xnorforge_hdl::{
    AcceleratorConfig, ArrayConfig, BroadcastStages, Design, Structure, Target, stock,
};

/// Cycles of the bounded proofs.
const STEPS: u32 = 8;

fn design(edit: impl FnOnce(&mut ArrayConfig)) -> Design {
    let mut config = ArrayConfig {
        rows: 2,
        columns: 2,
        lanes: 3,
        activation_bits: 2,
        weight_bits: 2,
        reduction_max: 6,
        popcount_stages: 1,
        constant_entries: 2,
        ..ArrayConfig::default()
    };
    edit(&mut config);
    config.validate().unwrap()
}

/// A module with our packed ports around the stock module's single ones.
fn wrapper(package: &Package, stock: &str) -> String {
    let mut ports = Vec::new();
    let mut pins = Vec::new();
    let header = stock
        .split("module top(")
        .nth(1)
        .and_then(|text| text.split(");").next())
        .expect("the stock text has a module `top`");
    let stock_ports: Vec<&str> = header
        .split(',')
        .filter_map(|p| p.split_whitespace().last())
        .collect();
    for port in &package.ports {
        let direction = match port.direction {
            PortDirection::Input => "input",
            PortDirection::Output => "output",
        };
        ports.push(format!("{direction} [{}:0] {}", port.width - 1, port.name));
        let single: Vec<&&str> = stock_ports
            .iter()
            .filter(|name| name.split('$').next() == Some(&port.name))
            .collect();
        let width = port.width as usize / single.len();
        for (i, name) in single.iter().enumerate() {
            pins.push(format!(
                ".{name}({}[{}:{}])",
                port.name,
                (i + 1) * width - 1,
                i * width
            ));
        }
    }
    format!(
        "module gold({});\ntop u({});\nendmodule\n",
        ports.join(", "),
        pins.join(", ")
    )
}

fn prove(name: &str, block: &dyn Block) {
    let ours = emit::emit(block, "").unwrap_or_else(|e| panic!("{name}: {e}"));
    let stock = stock::generate(block);
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    write("gold.v", &format!("{stock}\n{}", wrapper(&ours, &stock)));
    let text: Vec<&str> = ours.files.iter().map(|f| f.text.as_str()).collect();
    write("gate.v", &text.join("\n"));
    let models: Vec<&str> = ours.primitives.iter().map(|f| f.text.as_str()).collect();
    write("models.v", &models.join("\n"));
    write("proof.ys", &script(&ours.top));
    yosys(name, folder.path());
}

/// Memories become registers; all registers begin at zero in both; the outputs then never differ.
fn script(top: &str) -> String {
    format!(
        "read_verilog gold.v models.v\nprep -flatten -top gold\nmemory_map\nopt -full\ndesign -stash gold\n\
         read_verilog gate.v models.v\nprep -flatten -top {top}\nmemory_map\nopt -full\ndesign -stash gate\n\
         design -copy-from gold -as gold gold\ndesign -copy-from gate -as gate {top}\n\
         miter -equiv -flatten -make_outputs gold gate miter\nhierarchy -top miter\n\
         sat -verify -set-init-zero -tempinduct-baseonly -maxsteps {} -prove trigger 0 miter\n",
        STEPS
    )
}

fn yosys(name: &str, folder: &Path) {
    let output = Command::new("yosys")
        .args(["-Q", "-T", "-s", "proof.ys"])
        .current_dir(folder)
        .output()
        .expect("Yosys is installed (apt-get install yosys)");
    let log = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}\n{errors}",
        log.lines().rev().take(40).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn blocks_without_registers() {
    for lanes in [1, 2, 5] {
        let d = design(|c| c.lanes = lanes);
        prove("PairBits", &PairBits::new(&d));
        prove("RowPairs", &RowPairs::new(&d));
    }
    let parallel = design(|c| {
        c.weight_bits = 3;
        c.weight_branches = 3;
    });
    prove("RowPairs", &RowPairs::new(&parallel));
}

#[test]
fn popcounts() {
    for (pairs, planes, groups, stages) in [
        (1, 1, 1, 1),
        (3, 1, 1, 1),
        (9, 1, 1, 3),
        (9, 1, 1, 2),
        (5, 2, 1, 2),
        (3, 1, 3, 2),
        (2, 3, 2, 2),
    ] {
        let plan = PopcountPlan::new(pairs, planes, groups);
        let name = format!("PopcountTree {pairs} {planes} {groups} {stages}");
        prove(&name, &PopcountTree::new(plan, stages));
    }
}

#[test]
fn accumulators() {
    prove("BranchAccumulator", &BranchAccumulator::new(4, 2, 3, &[1]));
    prove(
        "BranchAccumulator",
        &BranchAccumulator::new(4, 3, 2, &[1, 2]),
    );
}

#[test]
fn elements_and_rows() {
    let serial = design(|_| {});
    prove("ProcessingElement", &ProcessingElement::new(&serial));
    prove("RowSum", &RowSum::new(&serial));
    prove("PeRow", &PeRow::new(&serial));
    let parallel = design(|c| (c.activation_branches, c.weight_branches) = (2, 2));
    prove("ProcessingElement", &ProcessingElement::new(&parallel));
    prove("RowSum", &RowSum::new(&parallel));
}

#[test]
fn control() {
    let d = design(|_| {});
    prove("ControlStage", &ControlStage::new(&d));
    prove("DrainControl", &DrainControl::new(&d));
    prove("Epilogue", &Epilogue::new(&d));
    prove("SkidBuffer", &SkidBuffer::new(&d));
}

#[test]
fn arrays() {
    prove("PeArray", &PeArray::new(&design(|_| {})));
    prove("StreamArray", &StreamArray::new(&design(|c| c.lanes = 2)));
    let odd = design(|c| {
        (c.rows, c.columns, c.lanes) = (1, 2, 9);
        (c.activation_bits, c.weight_bits, c.weight_branches) = (1, 2, 2);
        c.popcount_stages = 2;
    });
    prove("StreamArray", &StreamArray::new(&odd));
}

/// Structures of netlists: what they and the edge are wired into.
#[test]
fn device_units() {
    for target in Target::ALL {
        let with = |structure| {
            design(|c| {
                (c.lanes, c.target, c.structure) = (5, target, structure);
                c.popcount_stages = 0;
            })
        };
        for structure in Structure::of_target(target) {
            let d = with(*structure);
            prove("ProcessingElement", &ProcessingElement::new(&d));
            prove("RowSum", &RowSum::new(&d));
        }
        let d = with(Structure::Auto);
        if let Some(units) = d.units() {
            prove("ArrayEdge", &ArrayEdge::new(&d, units));
            prove("PeRow", &PeRow::new(&d));
        }
    }
}

/// What stands around the grid where that is behind broadcast registers, and the grid itself.
#[test]
fn broadcast_blocks() {
    for stages in [1, 3] {
        let d = design(|c| {
            c.lanes = 2;
            c.broadcast_stages = BroadcastStages::Fixed(stages);
        });
        prove("BeatLine", &BeatLine::new(&d));
        prove("BufferControl", &BufferControl::default());
        prove("Credits", &Credits::new(5));
        prove("CreditDrain", &CreditDrain::new(&d));
        prove("TileQueue", &TileQueue::new(&d));
        prove("FlowEpilogue", &FlowEpilogue::new(&d));
        prove("PeArray", &PeArray::new(&d));
        prove("PeArray", &PeArray::draining(&d, 1));
    }
    let units = design(|c| {
        (c.lanes, c.target, c.popcount_stages) = (5, Target::Ecp5, 0);
        c.broadcast_stages = BroadcastStages::Fixed(2);
    });
    prove("PeArray", &PeArray::new(&units));
}

#[test]
fn drains_by_steps() {
    let d = design(|c| c.lanes = 2);
    prove("PeRow", &PeRow::draining(&d, 1));
}

/// A small accelerator: one column to a step, or a whole row and then rows are spaced out.
fn accelerator(drain_columns: u32) -> AcceleratorDesign {
    let design = design(|c| {
        c.lanes = 4;
        c.accelerator = AcceleratorConfig {
            drain_columns,
            activation_words: 4,
            residual_words: 2,
            constant_words: 2,
            channel_words: 2,
            table_words: 2,
            threshold_bits: 2,
            ..AcceleratorConfig::default()
        };
    });
    AcceleratorDesign::new(&design).unwrap()
}

#[test]
fn back_end_blocks() {
    for lanes in [1, 2] {
        let d = accelerator(lanes);
        prove("BeatPipeline", &BeatPipeline::new(d.design()));
        prove("TileDrain", &TileDrain::new(&d));
        prove("ChannelCounter", &ChannelCounter::new(&d));
        prove("PlaneLatch", &PlaneLatch::new(&d));
        prove("PlaneGroup", &PlaneGroup::new(&d));
        prove("PlanePacker", &PlanePacker::new(&d));
        prove("ResultPort", &ResultPort::new(&d));
        prove("RowTag", &RowTag::new(&d));
        prove("ShiftStep", &ShiftStep::new(9, 5, 4, 12));
    }
}
