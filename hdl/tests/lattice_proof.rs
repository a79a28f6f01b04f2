//! The structures for ECP5, iCE40 and standard cells are proven equal to their one-line specifications with Yosys, with this
//! project's models of the primitives. A pipeline is compared from every state, once it has been flushed; an accumulator
//! by induction over time.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use xnorforge_hdl::fabric::lattice::{self, Family, Objective, Options, Registers};
use xnorforge_hdl::fabric::{
    Accumulator, AdderCell, AdderCells, Bit, Controls, Dialect, Heap, Netlist, PAIR_TABLE, Source,
};

const MODELS: [(&str, &str); 4] = [
    (
        "LUT4.v",
        include_str!("../src/fabric/primitives/ecp5_LUT4.v"),
    ),
    ("CCU2C.v", include_str!("../src/fabric/primitives/CCU2C.v")),
    (
        "SB_LUT4.v",
        include_str!("../src/fabric/primitives/SB_LUT4.v"),
    ),
    (
        "SB_CARRY.v",
        include_str!("../src/fabric/primitives/SB_CARRY.v"),
    ),
];

fn dialect(family: Family) -> Dialect {
    match family {
        Family::Ecp5 => Dialect::Ecp5,
        Family::Ice40 => Dialect::Ice40,
        Family::Cells => Dialect::Generic,
    }
}

/// Structures under proof: family, objective, groups, planes, lanes.
fn cases() -> impl Iterator<Item = (Family, Objective, [u32; 3])> {
    let heaps = [[1, 1, 3], [1, 1, 20], [1, 1, 22], [2, 1, 8], [2, 2, 6]];
    [Family::Ecp5, Family::Ice40, Family::Cells]
        .into_iter()
        .flat_map(|family| [Objective::Area, Objective::Clock].map(|objective| (family, objective)))
        .flat_map(move |(family, objective)| heaps.map(|heap| (family, objective, heap)))
}

struct Built {
    netlist: Netlist,
    arrival: Vec<u32>,
    latency: u32,
}

fn build(
    family: Family,
    objective: Objective,
    [groups, planes, lanes]: [u32; 3],
    shape: Option<&Accumulator>,
) -> Built {
    let mut netlist = Netlist::new();
    if family == Family::Cells {
        let pins = ["A", "B", "C"].map(str::to_owned);
        netlist.use_adder_cells(AdderCells {
            full: AdderCell::new("FAX1", &pins, "YS", "YC").ok(),
            half: AdderCell::new("HAX1", &pins[..2], "YS", "YC").ok(),
        });
    }
    let [advance, accumulate, first, clear] =
        ["advance", "accumulate", "first", "clear"].map(|name| netlist.input(name, 1)[0]);
    let distances = shape.map_or(0, |shape| shape.amounts.len());
    let shift = netlist.input("shift", distances);
    let mut words = |name: &str, count: u32| -> Vec<Vec<Bit>> {
        (0..count)
            .map(|i| netlist.input(&format!("{name}{i}"), lanes as usize))
            .collect()
    };
    let (activation, weight) = (words("a", groups), words("w", planes));
    let pairs = lanes.div_ceil(2);
    let heap = Heap {
        groups,
        planes,
        pairs,
    };
    let pins = |m: u32, p: u32, i: u32| {
        let (a, w) = (&activation[m as usize], &weight[p as usize]);
        let (low, high) = (i as usize, (i + pairs) as usize);
        let of = |word: &[Bit], missing| word.get(high).copied().unwrap_or(missing);
        [a[low], w[low], of(a, Bit::ZERO), of(w, Bit::ONE)]
    };
    let tables = vec![PAIR_TABLE; planes as usize];
    let source = Source {
        pins: &pins,
        tables: &tables,
    };
    // Two levels to a stage, so that stages hold more than one kind of cell.
    let options = Options {
        registers: Registers::EveryLevels(2),
        skew: 1,
        ..Options::new(objective)
    };
    let (sum, arrival, latency) = match shape {
        None => {
            let counted = lattice::count(&mut netlist, family, &heap, &source, advance, &options);
            (counted.count, counted.arrival, counted.latency)
        }
        Some(shape) => {
            let controls = Controls {
                advance,
                accumulate,
                first,
                clear,
                shift,
            };
            let unit = lattice::unit(
                &mut netlist,
                family,
                &heap,
                &source,
                &controls,
                shape,
                &options,
            );
            (unit.sum, unit.arrival, unit.latency)
        }
    };
    netlist.output("sum", &sum);
    Built {
        netlist,
        arrival,
        latency,
    }
}

/// Inputs as Verilog declares them, and connections by name.
fn ports(netlist: &Netlist) -> (String, String) {
    let inputs: Vec<_> = netlist
        .inputs()
        .iter()
        .filter(|port| !port.bits.is_empty())
        .collect();
    let declared: Vec<String> = inputs
        .iter()
        .map(|port| format!("input [{}:0] {}", port.bits.len() - 1, port.name))
        .collect();
    let connected: Vec<String> = inputs
        .iter()
        .map(|port| format!(".{0}({0})", port.name))
        .collect();
    (declared.join(", "), connected.join(", "))
}

/// The sum of the pair bits, each delayed from its arrival to the latency.
fn specified_count(built: &Built, [groups, planes, lanes]: [u32; 3]) -> String {
    let pairs = lanes.div_ceil(2);
    let mut text = String::new();
    let mut terms = Vec::new();
    for m in 0..groups {
        for p in 0..planes {
            for i in 0..pairs {
                let (a1, w1) = (format!("a{m}[{i}]"), format!("w{p}[{i}]"));
                let (a2, w2) = match i + pairs {
                    high if high < lanes => (format!("a{m}[{high}]"), format!("w{p}[{high}]")),
                    _ => ("1'b0".to_owned(), "1'b1".to_owned()),
                };
                let depth = built.latency - built.arrival[i as usize];
                let name = format!("bit_{m}_{p}_{i}");
                let _ = writeln!(
                    text,
                    "    reg [{depth}:0] {name};
    always @* {name}[0] = ({a1} == {w1}) + ({a2} == {w2}) + ({a1} != {a2}) >= 2'd2;
    always @(posedge clock) if (advance) {name}[{depth}:1] <= {name}[{}:0];",
                    depth - 1
                );
                terms.push(format!("({{31'd0, {name}[{depth}]}} << {})", m + p));
            }
        }
    }
    let _ = writeln!(text, "    wire [31:0] count = {};", terms.join(" + "));
    text
}

/// The accumulator of `BranchAccumulator`.
fn specified_accumulator(shape: &Accumulator) -> String {
    let (high, low) = (shape.high_width, shape.low_width);
    let width = high + low;
    let shifted = shape
        .amounts
        .iter()
        .enumerate()
        .fold("state".to_owned(), |before, (i, distance)| {
            format!("(shift[{i}] ? state >> {distance} : {before})")
        });
    let take_low = match (low, shape.amounts.len()) {
        (0, _) | (_, 0) => String::new(),
        _ => format!(
            "    always @(posedge clock) if (accumulate && |shift) state[{}:0] <= shifted[{}:0];\n",
            low - 1,
            low - 1
        ),
    };
    format!(
        "    reg [{top}:0] state;
    wire [{top}:0] shifted = {shifted};
    wire [31:0] base = first ? 32'd0 : shifted >> {low};
    wire [31:0] total = base + count;
    initial state = 0;
    always @(posedge clock) if (accumulate) state[{top}:{low}] <= total[{h}:0];
{take_low}    assign sum = state;
",
        top = width - 1,
        h = high - 1,
    )
}

/// Yosys proves that `equal` of the miter stays 1.
fn prove(built: &Built, family: Family, specification: &str, miter: &str, how: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (declared, connected) = ports(&built.netlist);
    let width = built.netlist.outputs()[0].bits.len();
    let body = built.netlist.verilog_body(dialect(family));
    let text = format!(
        "module unit(input clock, {declared}, output [{top}:0] sum);\n{body}endmodule
module specification(input clock, {declared}, output [{top}:0] sum);\n{specification}endmodule
module miter(input clock, input want, {free}, output equal);
{miter}    wire [{top}:0] got, wanted;
    unit u(.clock(clock), {connected}, .sum(got));
    specification s(.clock(clock), {connected}, .sum(wanted));
    assign equal = got == wanted;
endmodule
",
        top = width - 1,
        free = declared
            .split(", ")
            .filter(
                |port| !miter.contains(&format!("] {} =", &port[port.rfind(' ').unwrap() + 1..]))
            )
            .collect::<Vec<_>>()
            .join(", "),
    );
    let mut files = vec![("proof.v".to_owned(), text)];
    files.extend(
        MODELS
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned())),
    );
    let pins = ["A", "B", "C"].map(str::to_owned);
    for (name, count) in [("FAX1", 3), ("HAX1", 2)] {
        files.push(
            AdderCell::new(name, &pins[..count], "YS", "YC")
                .unwrap()
                .model(),
        );
    }
    for (name, text) in &files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let script = format!(
        "read_verilog {}; hierarchy -check -top miter; proc; flatten; opt_clean; check -assert; sat -verify -timeout 300 -prove equal 1 -set advance 1 {how} miter",
        names.join(" ")
    );
    yosys(folder.path(), &script);
}

fn yosys(folder: &Path, script: &str) {
    let output = Command::new("yosys")
        .args(["-Q", "-T", "-q", "-p", script])
        .current_dir(folder)
        .output()
        .expect("Yosys is installed (apt-get install yosys)");
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn counts_equal_the_sum_of_their_pair_bits() {
    for (family, objective, heap) in cases() {
        let built = build(family, objective, heap, None);
        let specification = specified_count(&built, heap) + "    assign sum = count;\n";
        let how = format!("-seq {} -prove-skip {}", built.latency + 1, built.latency);
        prove(&built, family, &specification, "", &how);
    }
}

#[test]
fn units_equal_a_behavioural_accumulator() {
    let shapes = [
        (6, 2, vec![]),
        (3, 0, vec![]),
        (6, 3, vec![1]),
        (5, 4, vec![1, 3]),
    ];
    for (high_width, low_width, amounts) in shapes {
        let shape = Accumulator {
            high_width,
            low_width,
            amounts,
        };
        for family in [Family::Ecp5, Family::Ice40, Family::Cells] {
            for heap in [[1, 1, 8], [1, 1, 6], [2, 1, 2]] {
                let built = build(family, Objective::Area, heap, Some(&shape));
                let specification = specified_count(&built, heap) + &specified_accumulator(&shape);
                let mut miter = format!(
                    "    reg [3:0] filled;
    always @(posedge clock) if (filled != {latency}) filled <= filled + 1;
    wire [0:0] accumulate = want && filled == {latency};
    wire [0:0] clear = accumulate & first;\n",
                    latency = built.latency
                );
                if !shape.amounts.is_empty() {
                    let one_hot = (0..shape.amounts.len())
                        .rev()
                        .fold("0".to_owned(), |rest, i| {
                            format!("(choice == {} ? {} : {rest})", i + 1, 1 << i)
                        });
                    let _ = writeln!(
                        miter,
                        "    wire [1:0] choice = {{first, a0[0]}};\n    wire [{}:0] shift = accumulate ? {one_hot} : 0;",
                        shape.amounts.len() - 1
                    );
                }
                prove(
                    &built,
                    family,
                    &specification,
                    &miter,
                    "-set-init-zero -tempinduct -maxsteps 12",
                );
            }
        }
    }
}
