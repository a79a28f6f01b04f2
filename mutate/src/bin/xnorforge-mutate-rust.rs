//! Mutation testing of the Rust: the faults of cargo-mutants, many in one build.
//!
//! cargo-mutants builds the workspace again for every fault: a minute each. Here every fault that was drawn stands in the
//! source behind a test of the environment, `if on(17) { a - b } else { a + b }`, so one build of a copy of the workspace
//! serves them all. Faults are cargo-mutants' own: an operator for another, a `!` or `-` lost, a function that gives a
//! constant. `make mutate-rust` runs it; `make cargo-mutants` runs cargo-mutants itself on the same files.

use anyhow::{Context, Result, bail};
use clap::Parser;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The environment variable that chooses a fault.
const CHOICE: &str = "XNORFORGE_RUST_MUTANT";

/// Seconds after which a test that a fault keeps busy counts as failed.
const SECONDS: u64 = 120;

/// Puts faults into a copy of the workspace's Rust and counts which of them the tests find.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Source files that get faults, as paths in the workspace.
    #[arg(long, required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Tests to run, `PACKAGE:TEST` or `PACKAGE:lib`, the quickest first.
    #[arg(long, required = true, num_args = 1..)]
    tests: Vec<String>,
    /// Faults to draw.
    #[arg(long, default_value_t = 100)]
    faults: usize,
    /// Seed of the draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the copy and its build.
    #[arg(long, default_value = "target/mutate-rust")]
    work: PathBuf,
}

/// A fault: bytes of a file and what stands there instead.
#[derive(Clone, Debug)]
struct Fault {
    file: usize,
    line: usize,
    /// The whole expression, or the place behind a function's `{`.
    bytes: Range<usize>,
    /// What the expression becomes; `return` for a function.
    becomes: String,
    what: String,
}

/// Finds the faults of one file.
struct Finder<'t> {
    text: &'t str,
    file: usize,
    function: String,
    found: Vec<Fault>,
}

impl Finder<'_> {
    fn text_of(&self, node: &impl Spanned) -> &str {
        &self.text[node.span().byte_range()]
    }

    fn add(&mut self, node: &impl Spanned, becomes: String, what: String) {
        self.found.push(Fault {
            file: self.file,
            line: node.span().start().line,
            bytes: node.span().byte_range(),
            becomes,
            what: format!("{what} in {}", self.function),
        });
    }

    /// A function that gives a constant instead.
    fn constants(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let syn::ReturnType::Type(_, kind) = &signature.output else {
            return;
        };
        let kind = self.text_of(kind).replace(' ', "");
        let values: &[&str] = match kind.as_str() {
            "bool" => &["true", "false"],
            "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" | "u128" | "i128" => &["0", "1"],
            _ if kind.starts_with("Vec<") => &["Vec::new()"],
            _ if kind.starts_with("Option<") => &["None"],
            "String" => &["String::new()"],
            _ => &[],
        };
        let start = block.span().byte_range().start + 1;
        for value in values {
            self.found.push(Fault {
                file: self.file,
                line: signature.span().start().line,
                bytes: start..start,
                becomes: format!("return {value};"),
                what: format!("{} -> {value}", signature.ident),
            });
        }
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        if signature.constness.is_some() {
            return;
        }
        let before = std::mem::replace(&mut self.function, signature.ident.to_string());
        self.constants(signature, block);
        visit::visit_block(self, block);
        self.function = before;
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let is = |a: &syn::Attribute| {
        a.path().is_ident("test")
            || (a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|i| i == "test"))
    };
    attributes.iter().any(is)
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    // No constants: they are computed when the program is built.
    fn visit_item_const(&mut self, _: &'a syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'a syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'a syn::ImplItemConst) {}
    fn visit_type(&mut self, _: &'a syn::Type) {}
    fn visit_expr_const(&mut self, _: &'a syn::ExprConst) {}
    fn visit_pat(&mut self, _: &'a syn::Pat) {}
    fn visit_expr_repeat(&mut self, _: &'a syn::ExprRepeat) {}
    // A chain of `let` and `&&` is no expression.
    fn visit_expr_let(&mut self, _: &'a syn::ExprLet) {}

    fn visit_expr_binary(&mut self, item: &'a syn::ExprBinary) {
        let sign = self.text_of(&item.op).to_owned();
        if !has_let(&item.left) && !has_let(&item.right) {
            for other in others(&sign) {
                let (left, right) = (self.text_of(&item.left), self.text_of(&item.right));
                let becomes = format!("{left} {other} {right}");
                self.add(item, becomes, format!("`{sign}` -> `{other}`"));
            }
        }
        visit::visit_expr_binary(self, item);
    }

    fn visit_expr_unary(&mut self, item: &'a syn::ExprUnary) {
        if !matches!(item.op, syn::UnOp::Deref(_)) {
            let becomes = self.text_of(&item.expr).to_owned();
            let sign = self.text_of(&item.op).to_owned();
            self.add(item, becomes, format!("`{sign}` lost"));
        }
        visit::visit_expr_unary(self, item);
    }
}

fn has_let(expression: &syn::Expr) -> bool {
    struct Let(bool);
    impl<'a> Visit<'a> for Let {
        fn visit_expr_let(&mut self, _: &'a syn::ExprLet) {
            self.0 = true;
        }
    }
    let mut found = Let(false);
    found.visit_expr(expression);
    found.0
}

/// cargo-mutants' table.
fn others(sign: &str) -> &'static [&'static str] {
    match sign {
        "==" => &["!="],
        "!=" => &["=="],
        "&&" => &["||"],
        "||" => &["&&"],
        "<" => &["==", ">", "<="],
        ">" => &["==", "<", ">="],
        "<=" => &[">"],
        ">=" => &["<"],
        "+" => &["-", "*"],
        "-" => &["+", "/"],
        "*" => &["+", "/"],
        "/" => &["%", "*"],
        "%" => &["/", "+"],
        "<<" => &[">>"],
        ">>" => &["<<"],
        "&" => &["|", "^"],
        "|" => &["&", "^"],
        "^" => &["|", "&"],
        "+=" => &["-=", "*="],
        "-=" => &["+=", "/="],
        "*=" => &["+=", "/="],
        "/=" => &["%=", "*="],
        "<<=" => &[">>="],
        ">>=" => &["<<="],
        "&=" => &["|="],
        "|=" => &["&="],
        "^=" => &["|=", "&="],
        _ => &[],
    }
}

/// A file with its faults: the innermost ones first, so that an outer one holds them.
fn instrumented(text: &str, faults: &[(usize, &Fault)]) -> String {
    instrument_range(text, 0..text.len(), faults)
}

fn instrument_range(text: &str, range: Range<usize>, faults: &[(usize, &Fault)]) -> String {
    // Ranges of expressions nest or are apart; faults of one expression stand beside each other.
    let mut places: Vec<Range<usize>> = faults.iter().map(|(_, f)| f.bytes.clone()).collect();
    places.sort_by_key(|place| (place.start, std::cmp::Reverse(place.end)));
    places.dedup();
    let mut out = String::new();
    let mut at = range.start;
    for place in places {
        if place.start < at || (place == range && !place.is_empty()) {
            continue;
        }
        out.push_str(&text[at..place.start]);
        let (own, inner): (Vec<_>, Vec<_>) = faults
            .iter()
            .filter(|(_, f)| place.start <= f.bytes.start && f.bytes.end <= place.end)
            .cloned()
            .partition(|(_, f)| f.bytes == place);
        let original = instrument_range(text, place.clone(), &inner);
        if place.is_empty() {
            for (number, fault) in &own {
                let _ = write!(
                    out,
                    " if crate::xnf_mutant::on({number}) {{ {} }} ",
                    fault.becomes
                );
            }
        } else {
            let mut all = format!("{{ {original} }}");
            for (number, fault) in &own {
                all = format!(
                    "if crate::xnf_mutant::on({number}) {{ {} }} else {all}",
                    fault.becomes
                );
            }
            let _ = write!(out, "({all})");
        }
        at = place.end;
    }
    out.push_str(&text[at..range.end]);
    out
}

/// What chooses a fault, in the crate that has them.
fn chooser() -> String {
    format!(
        "\n#[doc(hidden)]\n#[allow(missing_docs)]\npub mod xnf_mutant {{\n    static CHOICE: std::sync::LazyLock<usize> =\n        \
         std::sync::LazyLock::new(|| std::env::var(\"{CHOICE}\").map_or(0, |t| t.parse().unwrap_or(0)));\n    \
         #[inline]\n    pub fn on(number: usize) -> bool {{\n        *CHOICE == number\n    }}\n}}\n"
    )
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()?;
    let work = std::path::absolute(&options.work)?;
    let tree = work.join("tree");
    copy(&root, &tree)?;
    let mut texts = Vec::new();
    let mut all = Vec::new();
    for (file, path) in options.files.iter().enumerate() {
        let text = std::fs::read_to_string(root.join(path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| path.display().to_string())?;
        let mut finder = Finder {
            text: &text,
            file,
            function: String::new(),
            found: Vec::new(),
        };
        finder.visit_file(&parsed);
        all.extend(finder.found);
        texts.push(text);
    }
    let population = all.len();
    all.shuffle(&mut ChaCha8Rng::seed_from_u64(options.seed));
    all.truncate(options.faults);
    println!(
        "seed {}: {} of {population} faults of {} files",
        options.seed,
        all.len(),
        texts.len()
    );
    let mut refused = BTreeSet::new();
    let programs = loop {
        write_tree(&tree, &options, &texts, &all, &refused)?;
        match build(&tree, &work, &options)? {
            Build::Done(programs) => break programs,
            Build::Refused(numbers) => {
                println!("the compiler refuses {numbers:?}");
                refused.extend(numbers);
            }
        }
    };
    run_all(&options, &tree, &programs, &all, &refused)
}

/// The files that git knows, in a folder of their own.
fn copy(root: &Path, tree: &Path) -> Result<()> {
    let list = Command::new("git")
        .arg("ls-files")
        .current_dir(root)
        .output()?;
    for name in String::from_utf8(list.stdout)?.lines() {
        let (from, to) = (root.join(name), tree.join(name));
        if from.is_file() {
            std::fs::create_dir_all(to.parent().context("a file has a folder")?)?;
            let new = std::fs::read(&from)?;
            // What is the same keeps its time, and is not built again.
            if std::fs::read(&to).ok().as_ref() != Some(&new) {
                std::fs::write(&to, new)?;
            }
        }
    }
    Ok(())
}

fn write_tree(
    tree: &Path,
    options: &Options,
    texts: &[String],
    faults: &[Fault],
    refused: &BTreeSet<usize>,
) -> Result<()> {
    for (file, (path, text)) in options.files.iter().zip(texts).enumerate() {
        let of: Vec<(usize, &Fault)> = (1..)
            .zip(faults)
            .filter(|(number, fault)| fault.file == file && !refused.contains(number))
            .collect();
        std::fs::write(tree.join(path), instrumented(text, &of))?;
    }
    for file in &options.files {
        let mut folders = file.ancestors();
        let source = folders.find(|folder| folder.ends_with("src"));
        let source = source.context("source files stand below a folder `src`")?;
        let library = tree.join(source).join("lib.rs");
        let text = std::fs::read_to_string(&library)?;
        if !text.contains("xnf_mutant") {
            std::fs::write(&library, text + &chooser())?;
        }
    }
    Ok(())
}

enum Build {
    Done(BTreeMap<String, PathBuf>),
    /// Faults on lines that do not compile.
    Refused(BTreeSet<usize>),
}

fn build(tree: &Path, work: &Path, options: &Options) -> Result<Build> {
    let mut programs = BTreeMap::new();
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for test in &options.tests {
        let (package, name) = test.split_once(':').context("a test is PACKAGE:TEST")?;
        packages.entry(package).or_default().push(name);
    }
    for (package, names) in packages {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--no-run", "--message-format=json", "-p", package]);
        for name in &names {
            match *name {
                "lib" => cargo.arg("--lib"),
                _ => cargo.args(["--test", name]),
            };
        }
        let output = cargo
            .current_dir(tree)
            .env("CARGO_TARGET_DIR", work.join("build"))
            .stderr(Stdio::inherit())
            .output()
            .context("cargo")?;
        let mut refused = BTreeSet::new();
        for line in output.stdout.split(|b| *b == b'\n') {
            let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else {
                continue;
            };
            if let Some(program) = message["executable"].as_str() {
                let kind = &message["target"]["kind"][0];
                let name = match kind.as_str() {
                    Some("test") => message["target"]["name"].as_str().unwrap_or_default(),
                    _ => "lib",
                };
                programs.insert(format!("{package}:{name}"), PathBuf::from(program));
            }
            if message["message"]["level"] == "error" {
                refused.extend(faults_of(&message["message"]));
            }
        }
        if !output.status.success() {
            if refused.is_empty() {
                bail!("the copy in {} does not build", tree.display());
            }
            return Ok(Build::Refused(refused));
        }
    }
    Ok(Build::Done(programs))
}

/// The faults that stand on the lines of a compiler's message.
fn faults_of(message: &serde_json::Value) -> BTreeSet<usize> {
    let spans = message["spans"].as_array().into_iter().flatten();
    let lines = spans
        .filter(|span| span["is_primary"] == true)
        .flat_map(|span| span["text"].as_array().into_iter().flatten())
        .filter_map(|text| text["text"].as_str());
    let mut found = BTreeSet::new();
    for line in lines {
        for part in line.split("xnf_mutant::on(").skip(1) {
            let digits = part.split(')').next().unwrap_or_default();
            found.extend(digits.parse::<usize>().ok());
        }
    }
    found
}

/// Whether a test passes.
fn passes(program: &Path, folder: &Path, number: usize) -> Result<bool> {
    let mut child = Command::new(program)
        .current_dir(folder)
        .env(CHOICE, number.to_string())
        .env("RUST_BACKTRACE", "0")
        .env("INSTA_UPDATE", "no")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if start.elapsed() > Duration::from_secs(SECONDS) {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn run_all(
    options: &Options,
    tree: &Path,
    programs: &BTreeMap<String, PathBuf>,
    faults: &[Fault],
    refused: &BTreeSet<usize>,
) -> Result<ExitCode> {
    let tests: Vec<(&String, &PathBuf, PathBuf)> = options
        .tests
        .iter()
        .map(|test| {
            let program = programs
                .get(test)
                .with_context(|| format!("no test {test}"))?;
            let package = test.split(':').next().unwrap_or_default();
            let folder = package.trim_start_matches("xnorforge-");
            Ok((test, program, tree.join(folder)))
        })
        .collect::<Result<_>>()?;
    for (test, program, folder) in &tests {
        if !passes(program, folder, 0)? {
            bail!("{test} fails without a fault");
        }
    }
    let mut counts: BTreeMap<&Path, [usize; 2]> = BTreeMap::new();
    for (number, fault) in (1..).zip(faults).filter(|(n, _)| !refused.contains(n)) {
        let mut killer = None;
        for (test, program, folder) in &tests {
            if !passes(program, folder, number)? {
                killer = Some(test);
                break;
            }
        }
        let path = &options.files[fault.file];
        counts.entry(path).or_default()[usize::from(killer.is_none())] += 1;
        match killer {
            Some(test) => println!("{number}: found by {test}: {}", fault.what),
            None => println!(
                "{number}: SURVIVED: {}:{}: {}",
                path.display(),
                fault.line,
                fault.what
            ),
        }
    }
    println!("\n| file | faults | found | survived |\n|---|--:|--:|--:|");
    let mut all = [0, 0];
    for (path, [found, survived]) in &counts {
        all = [all[0] + found, all[1] + survived];
        println!(
            "| `{}` | {} | {found} | {survived} |",
            path.display(),
            found + survived
        );
    }
    println!(
        "| **all** | {} | {} | {} | \n\n{} did not compile; {:.1} % found",
        all[0] + all[1],
        all[0],
        all[1],
        refused.len(),
        100.0 * all[0] as f64 / (all[0] + all[1]).max(1) as f64
    );
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fn f(a: u32, b: u32) -> u32 {\n    const C: u32 = 1 + 2;\n    (a + b * C) - 1\n}\nconst fn g(a: u32) -> u32 { a + 1 }\n#[cfg(test)]\nmod tests {\n    fn h(a: u32) -> u32 { a + 1 }\n}\n";

    fn faults() -> Vec<Fault> {
        let parsed = syn::parse_file(TEXT).unwrap();
        let mut finder = Finder {
            text: TEXT,
            file: 0,
            function: String::new(),
            found: Vec::new(),
        };
        finder.visit_file(&parsed);
        finder.found
    }

    #[test]
    fn constants_and_tests_have_no_faults() {
        let all: Vec<String> = faults().into_iter().map(|f| f.what).collect();
        assert_eq!(
            all,
            [
                "f -> 0",
                "f -> 1",
                "`-` -> `+` in f",
                "`-` -> `/` in f",
                "`+` -> `-` in f",
                "`+` -> `*` in f",
                "`*` -> `+` in f",
                "`*` -> `/` in f",
            ]
        );
    }

    #[test]
    fn faults_nest_in_one_text() {
        let all = faults();
        let chosen = [(1, &all[0]), (2, &all[2]), (3, &all[4]), (4, &all[6])];
        let text = instrumented(TEXT, &chosen);
        assert!(
            text.contains("{ if crate::xnf_mutant::on(1) { return 0; } \n"),
            "{text}"
        );
        assert!(
            text.contains(
                "(if crate::xnf_mutant::on(2) { (a + b * C) + 1 } else { ((if crate::xnf_mutant::on(3) { a - b * C } else { a + (if crate::xnf_mutant::on(4) { b + C } else { b * C }) })) - 1 })"
            ),
            "{text}"
        );
        syn::parse_file(&text).unwrap();
    }
}
