//! The rows of `docs/area.md`: processing elements and row units as they ship, beside the elements that most people write.

use super::{AreaError, Verilog};
use std::sync::Arc;
use xnorforge_hdl::config::bits_for;
use xnorforge_hdl::fabric::AdderCells;
use xnorforge_hdl::hardware::{ElementUnit, ProcessingElement, RowSum};
use xnorforge_hdl::structure::DeviceUnits;
use xnorforge_hdl::{ArrayConfig, ConfigError, Design, EmitError, Structure, Target, emit};

/// One row of the report: a structure for a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// What it is, in a few words; the row's first column.
    pub structure: String,
    /// The target.
    pub target: Target,
    /// Lanes of one operand.
    pub lanes: u32,
    /// Binary operation pairs (an XNOR and its share of the sum) in one cycle: what area is divided by.
    pub operations: u64,
    /// Where its numbers come from.
    pub origin: Origin,
}

/// Where a row's numbers come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// They are measured: the Verilog.
    Verilog(Verilog),
    /// Someone else published them: LUTs. Nothing is measured.
    Published(f64),
}

/// Lanes of bit-serial elements in the report.
const LANES: [u32; 3] = [64, 128, 256];
/// Branches of both operands, at 64 lanes, of elements in the report that compute them in one cycle.
const BRANCHES: [u32; 2] = [2, 4];
/// Branches of the largest element. What is no netlist takes Yosys minutes at this size and is left out.
const BRANCHES_MAX: u32 = 8;
/// Bits of both operands of the elements that take their branches one after another.
const SERIAL_BITS: u32 = 4;

/// The rows of `docs/area.md`. For each target and size: the processing element of structure `auto`, the row unit that
/// completes the sums of all elements in its row, the other structures, and the naive element that adds numbers of the same
/// bits over dot products of the same length. `adders` are those of a library of standard cells.
///
/// # Errors
/// [`AreaError::Config`] and [`AreaError::Emit`]; both would be bugs.
pub fn standard_units(adders: Option<&AdderCells>) -> Result<Vec<Unit>, AreaError> {
    let mut units = Vec::new();
    for target in [Target::Xilinx, Target::Ecp5, Target::Ice40, Target::Asic] {
        for lanes in LANES {
            units.extend(serial_units(target, lanes, adders)?);
        }
        for branches in BRANCHES {
            units.extend(parallel_units(target, branches, adders)?);
        }
        if target == Target::Xilinx {
            let largest = design(
                target,
                Structure::Auto,
                LANES[0],
                BRANCHES_MAX,
                BRANCHES_MAX,
            )?;
            units.extend([element_unit(&largest)?, row_unit(&largest)?]);
        }
    }
    Ok(units)
}

/// Elements that take one branch pair in a cycle: of several bits, whose accumulators shift, and of one bit.
fn serial_units(
    target: Target,
    lanes: u32,
    adders: Option<&AdderCells>,
) -> Result<Vec<Unit>, AreaError> {
    let mut units = generated_units(target, lanes, SERIAL_BITS, 1, adders)?;
    let several = design(target, Structure::Auto, lanes, SERIAL_BITS, 1)?;
    units.push(naive_serial_unit(target, lanes, naive_width(&several)));
    units.extend(generated_units(target, lanes, 1, 1, adders)?);
    if target == Target::Xilinx {
        units.push(bismo_unit(lanes));
    }
    Ok(units)
}

/// Elements that take all branch pairs in a cycle: nothing ever shifts.
fn parallel_units(
    target: Target,
    branches: u32,
    adders: Option<&AdderCells>,
) -> Result<Vec<Unit>, AreaError> {
    let lanes = LANES[0];
    let mut units = generated_units(target, lanes, branches, branches, adders)?;
    let design = design(target, Structure::Auto, lanes, branches, branches)?;
    let width = naive_width(&design);
    units.push(naive_parallel_unit(target, lanes, branches, width));
    Ok(units)
}

/// The element of structure `auto`, its row unit, then the element of every other structure that can take the shape.
fn generated_units(
    target: Target,
    lanes: u32,
    bits: u32,
    branches: u32,
    adders: Option<&AdderCells>,
) -> Result<Vec<Unit>, AreaError> {
    let auto = design(target, Structure::Auto, lanes, bits, branches)?;
    let mut units = Vec::new();
    if let (Some(adders), Some(netlists)) = (adders, auto.units())
        && target == Target::Asic
    {
        units.push(element_of_adder_cells(&auto, netlists, adders)?);
    }
    units.extend([element_unit(&auto)?, row_unit(&auto)?]);
    for structure in [Structure::of_target(target), &[Structure::Tree]].concat() {
        if structure == auto.structure() {
            continue;
        }
        match design(target, structure, lanes, bits, branches) {
            Ok(design) => units.push(element_unit(&design)?),
            // Pair chains take one branch pair only.
            Err(ConfigError::StructureShape { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(units)
}

/// The `small` preset for a target with other lanes, bits and branches, the same for both operands.
pub(super) fn configuration(
    target: Target,
    lanes: u32,
    bits: u32,
    branches: u32,
) -> Result<ArrayConfig, ConfigError> {
    Ok(ArrayConfig {
        target,
        lanes,
        activation_bits: bits,
        weight_bits: bits,
        activation_branches: branches,
        weight_branches: branches,
        ..ArrayConfig::preset("small")?
    })
}

/// That configuration with a structure.
fn design(
    target: Target,
    structure: Structure,
    lanes: u32,
    bits: u32,
    branches: u32,
) -> Result<Design, ConfigError> {
    ArrayConfig {
        structure,
        ..configuration(target, lanes, bits, branches)?
    }
    .validate()
}

/// Bits of the largest sum of products: what an accumulator without further thought needs.
pub(super) fn naive_width(design: &Design) -> u32 {
    let config = design.config();
    let largest = |bits: u32| (1u128 << bits) - 1;
    let product = largest(config.activation_bits) * largest(config.weight_bits);
    bits_for(u128::from(config.reduction_max) * product)
}

/// What an element computes, in a few words.
fn element_text(design: &Design, structure: &str) -> String {
    let c = design.config();
    let (pm, pk) = (c.activation_branches, c.weight_branches);
    let what = match (pm * pk, c.activation_bits * c.weight_bits) {
        (1, 1) => "1 x 1 bits".to_owned(),
        (1, _) => format!(
            "{} x {} bits one pair at a time",
            c.activation_bits, c.weight_bits
        ),
        _ => format!("{pm} x {pk} branch pairs"),
    };
    format!(
        "{structure}: {what}, {}-bit accumulator",
        design.sum_width()
    )
}

fn operations(design: &Design) -> u64 {
    let c = design.config();
    u64::from(c.lanes) * u64::from(c.activation_branches) * u64::from(c.weight_branches)
}

/// The generated processing element of a design, for the design's target.
///
/// # Errors
/// [`EmitError`]; this would be a bug.
pub fn element_unit(design: &Design) -> Result<Unit, EmitError> {
    let config = design.config();
    Ok(Unit {
        structure: element_text(design, &format!("`{}`", design.structure())),
        target: config.target,
        lanes: config.lanes,
        operations: operations(design),
        origin: Origin::Verilog(Verilog::from_package(emit::emit(
            &ProcessingElement::new(design),
            "",
        )?)),
    })
}

/// The same with the adders of a library of standard cells in place of expressions.
fn element_of_adder_cells(
    design: &Design,
    netlists: &DeviceUnits,
    adders: &AdderCells,
) -> Result<Unit, EmitError> {
    let mut netlists = netlists.clone();
    netlists.element.netlist.use_adder_cells(adders.clone());
    let element = ElementUnit::new(design, &Arc::new(netlists));
    let name = format!("`{}` of the library's adders", design.structure());
    Ok(Unit {
        structure: element_text(design, &name),
        origin: Origin::Verilog(Verilog::from_package(emit::emit(&element, "")?)),
        ..element_unit(design)?
    })
}

/// The generated row unit of a design: one for each row of the array, whatever the number of columns.
///
/// # Errors
/// [`EmitError`]; this would be a bug.
pub fn row_unit(design: &Design) -> Result<Unit, EmitError> {
    let config = design.config();
    let width = design.row_sum_width();
    Ok(Unit {
        structure: format!("its row unit, {width}-bit accumulator"),
        target: config.target,
        lanes: config.lanes,
        operations: 0,
        origin: Origin::Verilog(Verilog::from_package(emit::emit(&RowSum::new(design), "")?)),
    })
}

/// The naive elements (`testbenches/naive/`), part of the program so that it measures them from any folder.
const NAIVE_SERIAL: &str = include_str!("../../../testbenches/naive/naive_bit_serial_pe.v");
const NAIVE_PARALLEL: &str = include_str!("../../../testbenches/naive/naive_multibit_pe.v");

/// A bit-serial element: the sum of the matches in a loop, and an accumulator of `width` bits that shifts and
/// clears.
pub fn naive_serial_unit(target: Target, lanes: u32, width: u32) -> Unit {
    Unit {
        structure: format!("naive: sum of xnor bits in a loop, {width}-bit accumulator"),
        target,
        lanes,
        operations: lanes.into(),
        origin: Origin::Verilog(
            Verilog::from_text(NAIVE_SERIAL, "naive_bit_serial_pe")
                .with_parameter("LANES", lanes.into())
                .with_parameter("ACCUMULATOR_WIDTH", width.into()),
        ),
    }
}

/// A multi-bit element: products of `bits` x `bits` with `*`, summed in a loop, without DSP blocks, and an
/// accumulator of `width` bits that clears.
pub fn naive_parallel_unit(target: Target, lanes: u32, bits: u32, width: u32) -> Unit {
    Unit {
        structure: format!("naive: `*` of {bits} x {bits} bits and a sum, {width}-bit accumulator"),
        target,
        lanes,
        operations: u64::from(lanes) * u64::from(bits) * u64::from(bits),
        origin: Origin::Verilog(
            Verilog::from_text(NAIVE_PARALLEL, "naive_multibit_pe")
                .with_parameter("LANES", lanes.into())
                .with_parameter("ACTIVATION_BITS", bits.into())
                .with_parameter("WEIGHT_BITS", bits.into())
                .with_parameter("ACCUMULATOR_WIDTH", width.into()),
        ),
    }
}

/// BISMO's dot-product unit (Umuroglu et al., 2019) by its authors' model of what Vivado makes of it: 1.17 LUTs for each
/// lane and 44.1 for shift, negation and accumulator. Its array takes 120.1 more for each result.
fn bismo_unit(lanes: u32) -> Unit {
    Unit {
        structure: "BISMO's unit, its published model of LUTs (Vivado)".to_owned(),
        target: Target::Xilinx,
        lanes,
        operations: lanes.into(),
        origin: Origin::Published(1.17 * f64::from(lanes) + 44.1),
    }
}
