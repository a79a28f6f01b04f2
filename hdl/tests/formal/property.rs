//! What a set of properties is, and how it is checked.

use crate::engine::{Method, Question, Verdict};
use std::time::{Duration, Instant};
use xnorforge_hdl::emit::VerilogFile;

/// Where the wrappers are.
const WRAPPERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/formal");

/// Cycles within which a wrong specification or a mutant must show.
const COUNTEREXAMPLE_MAX: u32 = 64;

/// Seconds after which an engine gives up on a check.
const SECONDS_MAX: u32 = 240;

/// The assertions of one wrapper about one design.
pub struct PropertySet {
    /// What is proven, as the table says it.
    pub what: &'static str,
    /// Of which design.
    pub of: String,
    /// The wrapper that is the top: a module and its file in `testbenches/formal`. Without one, the design's own
    /// assertions are proven for any inputs.
    pub wrapper: Option<&'static str>,
    /// Other files of that folder.
    pub rules: &'static [&'static str],
    /// Macros that fit the wrapper to the design.
    pub defines: Vec<(String, String)>,
    /// Cells whose outputs take any value.
    pub cuts: Vec<String>,
    /// Modules whose own assertions are not asked for, since they lean on what is cut.
    pub mute: Vec<String>,
    /// The emitted text, and its top module.
    pub module: String,
    pub design: Vec<VerilogFile>,
    /// How it is decided.
    pub method: Method,
    /// What else must be seen, so that no proof is empty.
    pub witnesses: Vec<Witness>,
}

/// What shows that a proof is not empty.
pub enum Witness {
    /// With the macro `WRONG`, the wrapper specifies something that is not so; it must fail.
    WrongSpecification,
    /// The design with one place changed must fail.
    Mutant(Mutant),
    /// Every cover statement is reached within so many cycles.
    Covers(u32),
}

/// One change of the emitted text.
pub struct Mutant {
    /// What the change does, as the table says it.
    pub what: &'static str,
    /// How the name of the module begins.
    pub module: &'static str,
    /// Text that stands there once.
    pub from: &'static str,
    /// What takes its place.
    pub to: &'static str,
}

/// One question and the answer that is wanted.
pub struct Check<'a> {
    pub set: &'a PropertySet,
    pub witness: Option<&'a Witness>,
}

/// A check that has run.
pub struct Checked<'a> {
    pub check: Check<'a>,
    pub verdict: Verdict,
    pub took: Duration,
}

impl PropertySet {
    /// The top module that the engine sees.
    pub fn top(&self) -> &str {
        self.wrapper.unwrap_or(&self.module)
    }

    /// The proof and its witnesses.
    pub fn checks(&self) -> impl Iterator<Item = Check<'_>> {
        let witnesses = self.witnesses.iter().map(Some);
        std::iter::once(None)
            .chain(witnesses)
            .map(|witness| Check { set: self, witness })
    }
}

impl Check<'_> {
    /// Which engine decides it.
    pub fn method(&self) -> Method {
        match (self.witness, self.set.method) {
            (Some(Witness::Covers(cycles)), _) => Method::Cover(*cycles),
            // A counterexample is found sooner where nothing else is looked for; and induction that does not close is none.
            (Some(_), Method::Unbounded | Method::Induction(_)) => {
                Method::Bounded(COUNTEREXAMPLE_MAX)
            }
            (_, method) => method,
        }
    }

    /// The answer that is wanted.
    pub fn wants(&self) -> Verdict {
        match self.witness {
            Some(Witness::WrongSpecification | Witness::Mutant(_)) => Verdict::Fails,
            Some(Witness::Covers(_)) | None => Verdict::Holds,
        }
    }

    /// What is asked, in a few words.
    pub fn what(&self) -> String {
        match self.witness {
            None => self.set.what.to_owned(),
            Some(Witness::WrongSpecification) => "a wrong specification fails".to_owned(),
            Some(Witness::Mutant(mutant)) => format!("a mutant fails: {}", mutant.what),
            Some(Witness::Covers(_)) => "its cases are reached".to_owned(),
        }
    }

    /// Writes the files into a folder of its own and asks.
    pub fn verdict(&self) -> Verdict {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let mut files = Vec::new();
        let mut write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("room for temporary files");
            files.push(name.to_owned());
        };
        for name in self.set.rules.iter().chain(&self.set.wrapper) {
            let path = format!("{WRAPPERS}/{name}.v");
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            write(&format!("{name}.v"), &text);
        }
        for file in &self.set.design {
            write(&file.name, &self.text(file));
        }
        let mut defines = self.set.defines.clone();
        if matches!(self.witness, Some(Witness::WrongSpecification)) {
            defines.push(("WRONG".to_owned(), "1".to_owned()));
        }
        if let Some(Witness::Mutant(mutant)) = self.witness {
            let names = self.set.design.iter().map(|file| &file.name);
            let found = names.filter(|name| name.starts_with(mutant.module)).count();
            assert_eq!(found, 1, "modules of the mutant {}", mutant.what);
        }
        Question {
            folder: folder.path(),
            files: &files,
            top: self.set.top(),
            defines: &defines,
            cuts: &self.set.cuts,
            mute: &self.set.mute,
            method: self.method(),
            seconds: SECONDS_MAX,
        }
        .verdict()
    }

    /// The text of a file, changed if the mutant is there.
    fn text(&self, file: &VerilogFile) -> String {
        match self.witness {
            Some(Witness::Mutant(mutant)) if file.name.starts_with(mutant.module) => {
                let places = file.text.matches(mutant.from).count();
                assert_eq!(places, 1, "`{}` in {}", mutant.from, file.name);
                file.text.replacen(mutant.from, mutant.to, 1)
            }
            _ => file.text.clone(),
        }
    }
}

impl<'a> Checked<'a> {
    /// Runs a check.
    pub fn run(check: Check<'a>) -> Self {
        let start = Instant::now();
        let verdict = check.verdict();
        Checked {
            check,
            verdict,
            took: start.elapsed(),
        }
    }

    /// Whether the answer is the one that is wanted.
    pub fn is_right(&self) -> bool {
        self.verdict == self.check.wants()
    }
}
