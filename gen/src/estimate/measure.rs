//! Measures samples: many designs through one run of Yosys.
//!
//! The hierarchy is kept, so what a module takes depends on its own text alone. A module that many designs share is
//! synthesized once, and each module of a design is counted as often as it stands in it.

use super::sample::{Counts, Kinds, Measured, kind_of};
use crate::area::{AreaError, Cells, Verilog, split};
use crate::tools::Found;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;
use xnorforge_hdl::{AcceleratorDesign, Package, Target, generate, generate_axi};

/// The module that holds all designs of a run.
const TOP: &str = "xnf_sample";

/// Kinds of modules that are memories. With standard cells they are macros of a memory compiler, and not counted.
pub const MEMORIES: [&str; 7] = [
    "constant_memory",
    "keeping_memory",
    "level_memory",
    "plane_store",
    "row_memory",
    "slice_memory",
    "word_memory",
];

/// Measures designs of one target; modules that an earlier call measured are black boxes in later ones.
pub struct Measurer<'a> {
    yosys: &'a Found,
    target: Target,
    cells: Option<&'a Cells>,
    limit: Duration,
    /// What each distinct module takes, by its text.
    known: HashMap<String, Counts>,
}

/// The modules of a design with their texts, as a run needs them.
struct Listed {
    /// Text without comments, instances: of every module.
    modules: Vec<(String, String, u64)>,
    top: String,
}

impl Listed {
    fn new(package: Package) -> Self {
        let modules = package.files.iter().zip(&package.modules);
        let modules = modules.map(|(file, module)| {
            let lines = file.text.lines();
            let text: Vec<&str> = lines
                .filter(|l| !l.trim_start().starts_with("//"))
                .collect();
            (module.name.clone(), text.join("\n"), module.instances)
        });
        Listed {
            modules: modules.collect(),
            top: package.top,
        }
    }
}

/// Sources of a run: each distinct module under a name of its own.
#[derive(Default)]
struct Batch {
    text: String,
    /// Name in the run by the text with the names of the modules below it.
    names: HashMap<String, String>,
    /// Text of the module itself by its name in the run.
    origins: BTreeMap<String, String>,
    /// Modules whose contents are left out: memories that are macros, and what an earlier run measured.
    closed: BTreeSet<String>,
    tops: Vec<String>,
}

impl Batch {
    /// Adds a design, without the contents of the modules in `closed`.
    fn add(&mut self, design: &Listed, closed: &BTreeSet<&str>) {
        let mut renamed: HashMap<&str, String> = HashMap::new();
        for (name, text, _) in &design.modules {
            let with_names = rename(text, &renamed);
            let next = format!("{name}_q{}", self.names.len());
            let unique = self.names.entry(with_names.clone()).or_insert_with(|| {
                let own = HashMap::from([(name.as_str(), next.clone())]);
                self.text.push_str(&rename(&with_names, &own));
                self.text.push('\n');
                self.origins.insert(next.clone(), text.clone());
                if closed.contains(name.as_str()) {
                    self.closed.insert(next.clone());
                }
                next
            });
            renamed.insert(name, unique.clone());
        }
        self.tops.extend(renamed.get(design.top.as_str()).cloned());
    }

    /// The designs in one module.
    fn verilog(&self) -> Verilog {
        let mut text = self.text.clone();
        let _ = writeln!(text, "module {TOP};");
        for (i, top) in self.tops.iter().enumerate() {
            let _ = writeln!(text, "(* keep *) {top} u_{i} ();");
        }
        text.push_str("endmodule\n");
        Verilog::from_text(text, TOP)
    }
}

/// Modules of a design whose contents need not be synthesized: memories that are macros, and those that are known with all that
/// stands below them. (Modules of two designs may have the same text, and others of the same name below.)
fn closed<'d>(
    design: &'d Listed,
    target: Target,
    known: &HashMap<String, Counts>,
) -> BTreeSet<&'d str> {
    let are_macros = matches!(target, Target::Asic | Target::Generic);
    let mut closed = BTreeSet::new();
    let mut open: BTreeSet<&str> = BTreeSet::new();
    // Each module stands after those that it uses.
    for (name, text, _) in &design.modules {
        let mut below = text.lines().map(first_word);
        let is_macro = are_macros && MEMORIES.contains(&kind_of(name));
        if is_macro || known.contains_key(text) && !below.any(|word| open.contains(word)) {
            closed.insert(name.as_str());
        } else {
            open.insert(name);
        }
    }
    closed
}

/// The word that a line begins with: the module, where it is an instance.
fn first_word(line: &str) -> &str {
    let line = line.trim_start();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    &line[..end.unwrap_or(line.len())]
}

/// Replaces the names of modules where a module begins and where it is instantiated: at the start of a line.
fn rename(text: &str, names: &HashMap<&str, String>) -> String {
    let mut result = String::with_capacity(text.len());
    for line in text.lines() {
        let start = line.trim_start();
        let (keyword, rest) = match start.strip_prefix("module ") {
            Some(rest) => ("module ", rest),
            None => ("", start),
        };
        let word = first_word(rest);
        let end = word.len();
        match names.get(word) {
            Some(name) => {
                let indent = &line[..line.len() - start.len()];
                let _ = writeln!(result, "{indent}{keyword}{name}{}", &rest[end..]);
            }
            None => {
                result.push_str(line);
                result.push('\n');
            }
        }
    }
    result
}

impl<'a> Measurer<'a> {
    /// Measures with `yosys`; standard cells with a library.
    pub fn new(
        yosys: &'a Found,
        target: Target,
        cells: Option<&'a Cells>,
        limit: Duration,
    ) -> Self {
        Measurer {
            yosys,
            target,
            cells,
            limit,
            known: HashMap::new(),
        }
    }

    /// The Yosys commands for a top module.
    pub fn commands(&self, top: &str) -> String {
        match self.cells {
            Some(_) => Cells::synthesis(top).replace(" -flatten", ""),
            None => split::synthesis(self.target, top),
        }
    }

    /// Measures designs, all in one run.
    ///
    /// # Errors
    /// Those of Yosys.
    pub fn measure(&mut self, designs: &[AcceleratorDesign]) -> Result<Vec<Measured>, AreaError> {
        let mut packages = Vec::new();
        for design in designs {
            packages.push(generate(design.design())?);
            packages.push(generate_axi(design)?);
        }
        let mut kinds = self.measure_packages(packages)?.into_iter();
        let measured = designs.iter().map(|design| Measured {
            configuration: design.design().config().clone(),
            array: kinds.next().unwrap_or_default(),
            accelerator: kinds.next().unwrap_or_default(),
            derived: None,
        });
        Ok(measured.collect())
    }

    /// Measures emitted designs, all in one run.
    ///
    /// # Errors
    /// Those of Yosys.
    pub fn measure_packages(&mut self, packages: Vec<Package>) -> Result<Vec<Kinds>, AreaError> {
        let listed: Vec<Listed> = packages.into_iter().map(Listed::new).collect();
        let mut batch = Batch::default();
        for design in &listed {
            let mut texts = design.modules.iter().map(|(_, text, _)| text);
            if texts.any(|text| !self.known.contains_key(text)) {
                batch.add(design, &closed(design, self.target, &self.known));
            }
        }
        if !batch.tops.is_empty() {
            self.run(&batch)?;
        }
        Ok(listed.iter().map(|design| self.kinds(design)).collect())
    }

    fn run(&mut self, batch: &Batch) -> Result<(), AreaError> {
        let mut commands = String::new();
        if !batch.closed.is_empty() {
            let closed: Vec<&str> = batch.closed.iter().map(String::as_str).collect();
            let _ = writeln!(commands, "hierarchy -top {TOP}");
            let _ = writeln!(commands, "blackbox {}", closed.join(" "));
        }
        commands.push_str(&self.commands(TOP));
        let areas = split::modules(
            self.yosys,
            &batch.verilog(),
            &commands,
            self.target,
            self.cells,
            self.limit,
        )?;
        for (name, text) in &batch.origins {
            let counts = areas.get(name).map(Counts::from).unwrap_or_default();
            self.known.entry(text.clone()).or_insert(counts);
        }
        Ok(())
    }

    fn kinds(&self, design: &Listed) -> Kinds {
        let mut kinds = Kinds::new();
        for (name, text, instances) in &design.modules {
            let each = self.known.get(text).copied().unwrap_or_default();
            *kinds.entry(kind_of(name).to_owned()).or_default() += each * *instances as f64;
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::area::arrays::ArrayArea;
    use crate::tools::{Search, YOSYS};
    use xnorforge_hdl::{ArrayConfig, Design};

    #[test]
    fn modules_are_renamed_where_they_begin_and_where_they_stand() {
        let names = HashMap::from([("xnf_a", "xnf_a_q3".to_owned())]);
        let text = "module xnf_a (\n    input wire xnf_a_b\n);\n    xnf_a u_xnf_a (xnf_a);\n    xnf_ab c ();\n";
        let renamed = "module xnf_a_q3 (\n    input wire xnf_a_b\n);\n    xnf_a_q3 u_xnf_a (xnf_a);\n    xnf_ab c ();\n";
        assert_eq!(rename(text, &names), renamed);
    }

    /// What is known by its text is synthesized nevertheless if something else of a known name stands below it.
    #[test]
    fn modules_above_unknown_ones_stay_open() {
        let module = |name: &str, text: &str| (name.to_owned(), text.to_owned(), 1);
        let design = |leaf: &str| Listed {
            modules: vec![
                module("xnf_leaf", leaf),
                module("xnf_other", "module xnf_other ();"),
                module("xnf_word_memory_d4_w2", "module xnf_word_memory_d4_w2 ();"),
                module("xnf_middle", "module xnf_middle ();\n  xnf_leaf u_leaf ();"),
                module(
                    "xnf_top",
                    "module xnf_top ();\n  xnf_middle u_middle ();\n  xnf_other u_other ();",
                ),
            ],
            top: "xnf_top".to_owned(),
        };
        let (first, second) = (design("wire a;"), design("wire b;"));
        let texts = first.modules.iter().map(|(_, text, _)| text.clone());
        let known: HashMap<String, Counts> = texts.map(|t| (t, Counts::default())).collect();
        let all = [
            "xnf_leaf",
            "xnf_middle",
            "xnf_other",
            "xnf_top",
            "xnf_word_memory_d4_w2",
        ];
        let names = |design, known| -> Vec<&str> {
            closed(design, Target::Ecp5, known).into_iter().collect()
        };
        assert_eq!(names(&first, &known), all);
        assert_eq!(
            names(&second, &known),
            ["xnf_other", "xnf_word_memory_d4_w2"]
        );
        let none = HashMap::new();
        assert!(names(&first, &none).is_empty());
        assert_eq!(closed(&first, Target::Asic, &none).len(), 1);
    }

    /// Arrays in one run, or after others that share their modules, take what each takes alone.
    #[test]
    fn arrays_together_take_what_they_take_alone() {
        let yosys = match Search::from_environment().find(&YOSYS) {
            Ok(yosys) => yosys,
            Err(e) => {
                assert!(std::env::var_os("CI").is_none(), "{e}");
                return eprintln!("skipped: {e}");
            }
        };
        let design = |columns| {
            let config = ArrayConfig {
                columns,
                lanes: 4,
                target: Target::Ice40,
                ..ArrayConfig::preset("tiny").unwrap()
            };
            config.validate().unwrap()
        };
        let designs = [design(1), design(2), design(3)];
        let mut measurer = Measurer::new(&yosys, Target::Ice40, None, Duration::from_secs(600));
        let mut measure = |designs: &[Design]| {
            let packages = designs.iter().map(|d| generate(d).unwrap()).collect();
            measurer.measure_packages(packages).unwrap()
        };
        let mut kinds = measure(&designs[..2]);
        kinds.extend(measure(&designs[2..]));
        for (design, kinds) in designs.iter().zip(kinds) {
            let sum: Counts = kinds.into_values().sum();
            let alone = ArrayArea::measure(&yosys, design).unwrap().whole;
            assert_eq!(sum.sites, alone.sites as f64);
            assert_eq!(sum.flip_flops, alone.ff as f64);
        }
    }
}
