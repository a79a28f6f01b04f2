//! Faults that change nothing by construction: the text says so, and nobody need draw them.

use crate::statements::{Module, Role};
use crate::tokens::{Kind, literal};

/// What a bit of an expression is, where that is a number.
pub fn bit(expression: &str, place: u32) -> Option<bool> {
    let (bits, _, value) = literal(expression)?;
    (place < bits).then(|| value >> place & 1 == 1)
}

/// Whether an expression is a number whose bits are all at a level.
pub fn is_all(expression: &str, level: bool) -> bool {
    literal(expression).is_some_and(|(bits, _, value)| {
        let ones = u64::MAX >> (64 - bits);
        value & ones == if level { ones } else { 0 }
    })
}

/// Whether an instance is a look-up table whose outputs are the same whatever stands at an input, given what constants
/// stand at the others.
pub fn table_ignores(module: &Module<'_>, statement: usize, instance: usize, port: &str) -> bool {
    let kind = module.word(statement);
    let mut pins: Vec<(&str, Option<bool>)> = module
        .slots
        .iter()
        .filter_map(|slot| match &slot.role {
            Role::Input {
                instance: i, port, ..
            } if *i == instance => Some((port.as_str(), bit(module.span(&slot.tokens), 0))),
            _ => None,
        })
        .collect();
    pins.sort_unstable();
    let Some(own) = pins.iter().position(|(name, _)| *name == port) else {
        return false;
    };
    let known: Vec<Option<bool>> = pins.iter().map(|(_, known)| *known).collect();
    match table(module, statement) {
        Some((bits, table)) if kind.contains("LUT") && bits == 1 << known.len() => {
            // The second output of a pair of tables is the lower one's, of all inputs but the last.
            let lower = known.len() - 1;
            ignores(table, &known, own)
                && (kind != "LUT6_2" || own == lower || ignores(table, &known[..lower], own))
        }
        _ => false,
    }
}

/// The one number among an instance's parameters, and its bits.
fn table(module: &Module<'_>, statement: usize) -> Option<(u32, u64)> {
    let parameters = module.parameters(statement);
    let mut numbers = parameters.filter(|t| module.tokens[*t].kind == Kind::Number);
    let (bits, _, value) = literal(module.word(numbers.next()?))?;
    numbers.next().is_none().then_some((bits, value))
}

/// Whether a table has equal entries on both sides of an input, wherever the known inputs let it look.
fn ignores(table: u64, known: &[Option<bool>], own: usize) -> bool {
    let entry = |at: u64| table >> at & 1;
    let reached = |at: &u64| {
        known.iter().enumerate().all(|(place, level)| {
            place == own || level.is_none_or(|level| (at >> place & 1 == 1) == level)
        })
    };
    (0..1u64 << known.len())
        .filter(reached)
        .all(|at| entry(at) == entry(at ^ 1 << own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statements::{Ports, ports, read};

    #[test]
    fn bits_of_numbers_are_known() {
        assert_eq!((bit("4'h8", 3), bit("4'h8", 0)), (Some(true), Some(false)));
        assert_eq!((bit("4'h8", 4), bit("a[3]", 3)), (None, None));
        assert!(is_all("3'd7", true) && is_all("2'b00", false) && is_all("64'd0", false));
        assert!(!is_all("3'd6", true) && !is_all("3'd6", false) && !is_all("a", false));
    }

    /// Pins of one table that it ignores.
    fn ignored(instance: &str) -> Vec<String> {
        let text =
            format!("module m (input a, input b, output q, output r);\n{instance}\nendmodule\n");
        let models = [
            "module LUT3 #(parameter [7:0] INIT = 0) (output O, input I0, I1, I2);",
            "module LUT6_2 #(parameter [63:0] INIT = 0) (output O6, O5, input I0, I1, I2, I3, I4, I5);",
            "module CCU2C #(parameter [15:0] INIT0 = 0, parameter [15:0] INIT1 = 0) (input A0, A1, output S0);",
        ];
        let all: Ports = models.iter().filter_map(|text| ports(text)).collect();
        let module = read(&text, &all).unwrap();
        let pins = module.slots.iter().filter_map(|slot| match &slot.role {
            Role::Input { instance, port, .. } => {
                table_ignores(&module, slot.statement, *instance, port).then(|| port.clone())
            }
            _ => None,
        });
        pins.collect()
    }

    #[test]
    fn tables_ignore_what_no_entry_depends_on() {
        // a ^ b, whatever the third input is.
        let parity =
            |last: &str| format!("LUT3 #(.INIT(8'h66)) u (.O(q), .I0(a), .I1(b), .I2({last}));");
        assert_eq!(ignored(&parity("1'b0")), ["I2"]);
        assert_eq!(ignored(&parity("a")), ["I2"]);
        // a & b if the third input is 1, else a.
        let choice =
            |last: &str| format!("LUT3 #(.INIT(8'h8a)) u (.O(q), .I0(a), .I1(b), .I2({last}));");
        assert_eq!(ignored(&choice("1'b0")), ["I1"]);
        assert_eq!(ignored(&choice("b")), [""; 0]);
    }

    #[test]
    fn both_outputs_of_a_pair_of_tables_count() {
        // O6 = I1 and O5 = I0: the last input chooses between them, and only in O6.
        let pair = |last: &str| {
            format!(
                "LUT6_2 #(.INIT(64'hccccccccaaaaaaaa)) u (.O6(q), .O5(r), .I0(a), .I1(b), .I2(1'b0), .I3(a), .I4(1'b1), .I5({last}));"
            )
        };
        assert_eq!(ignored(&pair("1'b1")), ["I2", "I3", "I4"]);
        assert_eq!(ignored(&pair("b")), ["I2", "I3", "I4"]);
        // What is no look-up table of one number is never ignored.
        let carry = "CCU2C #(.INIT0(16'h0), .INIT1(16'h0)) u (.A0(a), .A1(b), .S0(q));";
        assert_eq!(ignored(carry), [""; 0]);
    }
}
