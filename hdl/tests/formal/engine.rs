//! The engines: Yosys reads the text, ABC or an SMT solver decides.

use std::path::Path;
use std::process::Command;

/// Cover statements as assertions that they are never so; whoever refutes one has reached it.
const COVERS: &str = "(* techmap_celltype = \"$cover\" *)
module cover_as_assert (input A, input EN);
    \\$assert refuted (.A(~A), .EN(EN));
endmodule
";

/// How a property is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// For all time: property-directed reachability (ABC's `pdr`) finds an inductive invariant.
    Unbounded,
    /// For all time: induction over this many cycles (`yosys-smtbmc -i` with Z3).
    Induction(u32),
    /// For this many cycles from the initial states (ABC's `bmc3`).
    Bounded(u32),
    /// A trace of at most this many cycles exists for each cover statement (ABC's `bmc3`).
    Cover(u32),
}

impl Method {
    /// As the table names it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Unbounded => "PDR",
            Method::Induction(_) => "induction",
            Method::Bounded(_) => "bounded",
            Method::Cover(_) => "cover",
        }
    }

    /// Cycles, as the table shows them.
    pub fn depth(self) -> String {
        match self {
            Method::Unbounded => "all".to_owned(),
            Method::Induction(cycles) => format!("all ({cycles} steps)"),
            Method::Bounded(cycles) | Method::Cover(cycles) => cycles.to_string(),
        }
    }
}

/// What an engine said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds; covers are all reached.
    Holds,
    /// A trace breaks it; a cover is not reached.
    Fails,
    /// Neither was found, or a tool failed; with its last words.
    Unknown(String),
}

/// One question to an engine: Verilog files in `folder`, the wrapper that is the top, and macros.
pub struct Question<'a> {
    pub folder: &'a Path,
    pub files: &'a [String],
    pub top: &'a str,
    pub defines: &'a [(String, String)],
    /// Cells (`module/cell`) whose outputs take any value: what holds with them holds with the real ones.
    pub cuts: &'a [String],
    /// Modules without their own assertions.
    pub mute: &'a [String],
    pub method: Method,
    /// Seconds after which an engine gives up.
    pub seconds: u32,
}

impl Question<'_> {
    /// Asks.
    pub fn verdict(&self) -> Verdict {
        let model = match self.method {
            Method::Unbounded | Method::Bounded(_) => self.write_aiger("chformal -cover -remove"),
            Method::Cover(_) => self.write_aiger("chformal -assert -remove; techmap -map covers.v"),
            Method::Induction(_) => self.write_smt2(),
        };
        if let Err(said) = model {
            return Verdict::Unknown(said);
        }
        match self.method {
            Method::Unbounded => self.abc(&format!("pdr -T {}", self.seconds)),
            Method::Bounded(cycles) => self.abc(&format!("bmc3 -F {cycles} -T {}", self.seconds)),
            Method::Cover(cycles) => {
                self.covers(&format!("bmc3 -a -F {cycles} -T {}", self.seconds))
            }
            Method::Induction(steps) => self.induction(steps),
        }
    }

    fn read(&self) -> String {
        let defines: Vec<String> = self
            .defines
            .iter()
            .map(|(name, value)| format!("-D{name}={value}"))
            .collect();
        let cuts = self.cuts.iter().map(|cell| format!("cutpoint {cell}; "));
        let mute = self
            .mute
            .iter()
            .map(|module| format!("chformal -assert -remove {module}; "));
        let cuts: String = cuts.chain(mute).collect();
        format!(
            "read_verilog -formal {} {}; hierarchy -check -top {top}; proc; {cuts}prep -flatten -top {top}; setundef -undriven -anyseq; delete -output",
            defines.join(" "),
            self.files.join(" "),
            top = self.top
        )
    }

    /// Registers without an initial value begin anywhere, in both models.
    fn write_aiger(&self, kept: &str) -> Result<(), String> {
        std::fs::write(self.folder.join("covers.v"), COVERS).map_err(|e| e.to_string())?;
        self.yosys(&format!(
            "{kept}; memory_map; async2sync; opt -full; techmap; opt -fast; dffunmap; \
             simplemap; abc -g AND -fast; opt_clean; write_aiger -zinit model.aig",
        ))
    }

    fn write_smt2(&self) -> Result<(), String> {
        self.yosys("async2sync; opt -full; dffunmap; opt_clean; write_smt2 -wires model.smt2")
    }

    fn yosys(&self, script: &str) -> Result<(), String> {
        let script = format!("{}; {script}", self.read());
        let (succeeded, said) = self.run("yosys", &["-Q", "-T", "-q", "-p", &script]);
        succeeded.then_some(()).ok_or(said)
    }

    fn abc(&self, command: &str) -> Verdict {
        let said = self.abc_says(command);
        if said.contains("was asserted in frame") {
            Verdict::Fails
        } else if said.contains("Property proved.") || said.contains("No output asserted in") {
            Verdict::Holds
        } else {
            Verdict::Unknown(last_lines(&said))
        }
    }

    /// Every output of the model is a cover that is claimed to be out of reach.
    fn covers(&self, command: &str) -> Verdict {
        let said = self.abc_says(command);
        if said.contains("outputs are found to be SAT")
            || said.contains("was asserted in frame") && !said.contains("solved")
        {
            Verdict::Holds
        } else if said.contains("No output asserted in") {
            Verdict::Fails
        } else {
            Verdict::Unknown(last_lines(&said))
        }
    }

    fn abc_says(&self, command: &str) -> String {
        let script = format!("read_aiger model.aig; fold; strash; {command}");
        self.run("yosys-abc", &["-c", &script]).1
    }

    /// The base case, then the step.
    fn induction(&self, steps: u32) -> Verdict {
        let steps = steps.to_string();
        match self.smtbmc(&["-t", &steps]) {
            Verdict::Holds => match self.smtbmc(&["-i", "-t", &steps]) {
                Verdict::Fails => Verdict::Unknown("the induction does not close".to_owned()),
                verdict => verdict,
            },
            verdict => verdict,
        }
    }

    fn smtbmc(&self, arguments: &[&str]) -> Verdict {
        let seconds = self.seconds.to_string();
        let arguments = [
            &["--timeout", &seconds, "-s", "z3"],
            arguments,
            &["model.smt2"],
        ]
        .concat();
        let (_, said) = self.run("yosys-smtbmc", &arguments);
        if said.contains("Status: PASSED") {
            Verdict::Holds
        } else if said.contains("Status: FAILED") && !said.contains("timeout") {
            Verdict::Fails
        } else {
            Verdict::Unknown(last_lines(&said))
        }
    }

    /// Whether the tool succeeded, and what it said.
    fn run(&self, tool: &str, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(tool)
            .args(arguments)
            .current_dir(self.folder)
            .output()
            .unwrap_or_else(|e| panic!("{tool}: {e} (make setup)"));
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}
