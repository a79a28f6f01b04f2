//! Known answers, and files that are none.

use super::*;

/// A library that is just enough.
const ENOUGH: &str = r#"
/* a comment { */
library ("enough") {
    time_unit : "1ns";  // another }
    input_voltage (cmos) { vil : 0.3 * VDD ; vimax : (VDD + 0.5) ; }
    capacitive_load_unit (1, pf);
    lu_table_template (t) { variable_1 : x; index_1 ("1, \
        2"); }
    cell (INVX2) { area : 4; pin (A) { direction : input; } pin (Y) { direction : output; function : "A'"; } }
    cell (INVX1) {
        area : 2.5
        pin (A) { direction : input; timing () { values ("1", "2"); } }
        pin (Y) { direction : output; function : "(!A)"; }
    }
    cell (NAND2) { pin (A, B) { direction : input; } pin (Y) { direction : output; function : "!(A B)"; } }
    cell (DFF) {
        ff (IQ, IQN) { next_state : "D"; clocked_on : "(!CK)"; }
        pin (D) { direction : input; } pin (CK) { direction : input; clock : true; }
        pin (Q) { direction : output; function : "IQ"; }
    }
    cell (FA) {
        pin (A) { direction : input; } pin (B) { direction : input; } pin (C) { direction : input; }
        pin (S) { direction : output; function : "A^B ^ C"; }
        pin (K) { direction : output; function : "(A*B) + C&(A|B)"; }
    }
}
"#;

fn enough() -> Library {
    Library::parse(ENOUGH).unwrap()
}

#[test]
fn cells_areas_and_functions() {
    let library = enough();
    assert_eq!((library.name.as_str(), library.cells.len()), ("enough", 5));
    assert_eq!(library.inverter(), Some("INVX1"));
    assert_eq!(library.cell("INVX1").unwrap().area, Some(2.5));
    assert_eq!(library.cell("NAND2").unwrap().truth_table(2), Some(0b0111));
    assert!(library.cell("DFF").unwrap().is_plain_flip_flop());
    assert_eq!(library.cell("DFF").unwrap().truth_table(2), None);
    let adder = library.cell("FA").unwrap();
    assert_eq!(adder.truth_tables().unwrap(), [0b1001_0110, 0b1110_1000]);
    library.check().unwrap();
}

#[test]
fn what_is_missing_is_named() {
    let without = |name: &str| {
        let mut library = enough();
        library.cells.retain(|cell, _| !cell.starts_with(name));
        library.check().unwrap_err().to_string()
    };
    assert!(
        without("DFF").contains("lacks a D flip-flop (a cell"),
        "{}",
        without("DFF")
    );
    assert!(
        without("INV").contains("lacks an inverter"),
        "{}",
        without("INV")
    );
    assert!(
        without("NAND").contains("lacks a gate of two inputs"),
        "{}",
        without("NAND")
    );
    let all = without("");
    assert!(
        all.contains("`enough` (0 cells) lacks a D flip-flop") && all.contains("gate"),
        "{all}"
    );
}

#[test]
fn a_scan_flip_flop_alone_is_not_enough() {
    let mut library = enough();
    let cell = library.cells.get_mut("DFF").unwrap();
    cell.flip_flop.as_mut().unwrap().next_state = "(D CK) + Q".into();
    assert!(library.check().is_err());
}

#[test]
fn functions_of_every_operator() {
    let inputs = ["A", "B[0]"].map(str::to_owned);
    for (text, table) in [
        ("A", Some(0b1010)),
        ("!A", Some(0b0101)),
        ("A' '", Some(0b1010)),
        ("A B[0]", Some(0b1000)),
        ("A*B[0]", Some(0b1000)),
        ("A|B[0]", Some(0b1110)),
        ("A + !A", Some(0b1111)),
        ("!(A^B[0])", Some(0b1001)),
        ("!A ^ 1", Some(0b1010)),
        ("(A) (B[0])'", Some(0b0010)),
        ("0", Some(0)),
        ("", None),
        ("C", None),
        ("(A", None),
        ("A)", None),
        ("A ^", None),
        ("A ? B[0]", None),
    ] {
        assert_eq!(function::truth_table(text, &inputs), table, "{text}");
    }
    let deep = "(".repeat(100_000) + "A" + &")".repeat(100_000);
    assert_eq!(function::truth_table(&deep, &inputs), None);
    let many: Vec<String> = (0..7).map(|i| format!("A{i}")).collect();
    assert_eq!(function::truth_table("A0", &many), None);
    let six: Vec<String> = many[..6].to_vec();
    assert_eq!(
        function::truth_table("A5'", &six),
        Some(u64::from(u32::MAX))
    );
}

#[test]
fn files_that_are_no_libraries() {
    for (text, message) in [
        ("", "line 1 is not Liberty: there is no `library` group"),
        ("module m(input a);", "`module` is followed by neither"),
        ("cell (a) { area : 1; }", "no `library` group"),
        ("hello world", "`hello` is followed by neither"),
        (
            "\n\nlibrary (a) {",
            "line 3 is not Liberty: the file ends inside the group `library`",
        ),
        ("}", "`}` closes nothing"),
        ("library (a", "does not close"),
        ("library (a) { name \"open", "does not end"),
        ("/* open", "a comment does not end"),
        ("library (a) { b : ; }", "without a value"),
        ("\u{0}", "`\\u{0}` is no part of it"),
        ("{", "where a statement begins"),
    ] {
        let error = Library::parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    let deep = "a () {".repeat(100_000);
    let error = Library::parse(&deep).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 64"), "{error}");
}

#[test]
fn a_file_that_is_not_there() {
    let error = Library::read(Path::new("no/such.lib")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot read the Liberty file `no/such.lib`")
    );
}
