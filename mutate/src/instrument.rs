//! Verilog with many faults in it, of which the environment of the simulation chooses one.
//!
//! Every expression that is to have faults becomes a selection by a register which is set once, when the simulation
//! starts: `(xnf_mutant == 16'd7) ? FAULTY : ORIGINAL`. So one Verilated model serves all mutants.

use crate::sites::{Change, Key, Site, sites};
use crate::statements::{Module, Ports, Role, ports, read};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

/// The environment variable that chooses a fault by its number; 0 or none for none.
pub const MUTANT: &str = "XNORFORGE_MUTANT";

/// The environment variable that names a file to which every instance of a module with faults writes their numbers.
pub const SEEN: &str = "XNORFORGE_MUTANTS_SEEN";

/// Faults with their numbers, from 1 on.
pub type Plan = HashMap<Key, u16>;

/// The ports of all modules in some files.
pub fn all_ports<'f>(texts: impl IntoIterator<Item = &'f str>) -> Ports {
    texts.into_iter().filter_map(ports).collect()
}

/// A module's text with all faults of the plan that it can have; none if there are none.
///
/// # Errors
/// A text that is not of the form which this project emits.
pub fn instrument(text: &str, ports: &Ports, plan: &Plan) -> Result<Option<String>, String> {
    let module = read(text, ports)?;
    let chosen: Vec<(u16, Site)> = sites(&module)
        .into_iter()
        .filter_map(|site| Some((*plan.get(&site.key)?, site)))
        .collect();
    if chosen.is_empty() {
        return Ok(None);
    }
    let mut edits = Edits {
        head: header(&chosen),
        ..Edits::default()
    };
    let mut by_slot: BTreeMap<usize, Vec<&(u16, Site)>> = BTreeMap::new();
    for mutant in &chosen {
        by_slot.entry(mutant.1.slot).or_default().push(mutant);
    }
    for (slot, mutants) in by_slot {
        edits.slot(&module, slot, &mutants);
    }
    Ok(Some(edits.apply(&module)))
}

/// A module's text with one fault in it, for good.
///
/// # Errors
/// As [`instrument`]; also if the module cannot have the fault.
pub fn mutated(text: &str, ports: &Ports, key: &Key) -> Result<String, String> {
    let module = read(text, ports)?;
    let site = sites(&module).into_iter().find(|site| site.key == *key);
    let site = site.ok_or("the module has no such fault")?;
    let mut edits = Edits::default();
    let slot = site.slot;
    edits.slot(&module, slot, &[&(1, site)]);
    Ok(edits.apply(&module).replace("xnf_mutant == 16'd1", "1'b1"))
}

/// Declares the register that chooses, and sets it; notes which faults there are.
fn header(chosen: &[(u16, Site)]) -> String {
    let numbers: Vec<String> = chosen.iter().map(|(n, _)| n.to_string()).collect();
    let numbers = numbers.join(" ");
    let choose = format!(
        "([]() -> int {{ const char* t = getenv(\\\"{MUTANT}\\\"); return t ? atoi(t) : 0; }}())"
    );
    let note = format!(
        "if (const char* p = getenv(\\\"{SEEN}\\\")) {{ if (FILE* f = fopen(p, \\\"a\\\")) {{ fprintf(f, \\\"%s \\\", \\\"{numbers}\\\"); fclose(f); }} }}"
    );
    format!(
        "\n    reg [15:0] xnf_mutant;\n    initial begin\n        xnf_mutant = $c16(\"{choose}\");\n        $c(\"{note}\");\n    end"
    )
}

#[derive(Default)]
struct Edits {
    head: String,
    tail: String,
    replacements: Vec<(Range<usize>, String)>,
    /// Nets whose bits Verilator is to keep apart.
    split: BTreeSet<String>,
}

impl Edits {
    fn slot(&mut self, module: &Module<'_>, slot: usize, mutants: &[&(u16, Site)]) {
        let place = &module.slots[slot];
        let own = module.span(&place.tokens);
        let bytes =
            module.tokens[place.tokens.start].start..module.tokens[place.tokens.end - 1].end;
        if matches!(place.role, Role::LutOutput { .. }) {
            let name = format!("xnf_table_{slot}");
            self.head.push_str(&format!("\n    wire {name};"));
            let flips: Vec<String> = mutants.iter().map(|m| flip(m)).collect();
            self.tail.push_str(&format!(
                "    assign {own} = {name} ^ ({});\n",
                flips.join(" | ")
            ));
            self.replacements.push((bytes, name));
            // Bits of the net that the table depends on would else make it depend on itself, and Verilator (5.006) does not
            // always find where such a net comes to rest.
            let net = module.word(place.tokens.start);
            self.split.insert(net.to_owned());
            return;
        }
        let mut text = format!("({own})");
        for (number, site) in mutants {
            if let Change::Replace(faulty) = &site.change {
                text = format!("((xnf_mutant == 16'd{number}) ? ({faulty}) : {text})");
            }
        }
        self.replacements.push((bytes, text));
    }

    fn apply(mut self, module: &Module<'_>) -> String {
        let mut text = module.text.to_owned();
        for net in &self.split {
            let declared = format!("] {net};");
            if let Some(at) = text.find(&declared) {
                let end = at + declared.len() - 1;
                let note = " /*verilator split_var*/".to_owned();
                self.replacements.push((end..end, note));
            }
        }
        let end = text.rfind("endmodule").unwrap_or(text.len());
        self.replacements
            .push((module.body..module.body, self.head));
        self.replacements.push((end..end, self.tail));
        self.replacements.sort_by_key(|(bytes, _)| bytes.start);
        for (bytes, new) in self.replacements.iter().rev() {
            text.replace_range(bytes.clone(), new);
        }
        text
    }
}

/// Whether a bit of a look-up table is to be flipped now.
fn flip((number, site): &(u16, Site)) -> String {
    match &site.change {
        Change::Flip { inputs, index } => format!(
            "((xnf_mutant == 16'd{number}) & ({{{}}} == {}'d{index}))",
            inputs.join(", "),
            inputs.len()
        ),
        Change::Replace(_) => "1'b0".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "module xnf_m_w2 (\n    input  wire           clock,\n    input  wire [1:0]     a,\n    output wire [1:0]     q\n);\n    assign q = a & 2'd2;\nendmodule\n";

    #[test]
    fn faults_of_one_expression_stand_side_by_side() {
        let module = read(TEXT, &Ports::new()).unwrap();
        let keys = sites(&module).into_iter().map(|s| s.key).take(2);
        let plan: Plan = keys.zip(1..).collect();
        let text = instrument(TEXT, &Ports::new(), &plan).unwrap().unwrap();
        assert!(
            text.contains(
                "assign q = ((xnf_mutant == 16'd2) ? (a & 2'd3 ) : ((xnf_mutant == 16'd1) ? (a | 2'd2) : (a & 2'd2)));"
            ),
            "{text}"
        );
        assert!(text.contains(");\n    reg [15:0] xnf_mutant;"), "{text}");
    }

    #[test]
    fn a_module_without_faults_stays() {
        assert_eq!(instrument(TEXT, &Ports::new(), &Plan::new()), Ok(None));
    }

    #[test]
    fn a_fault_is_the_same_in_every_size() {
        let module = read(TEXT, &Ports::new()).unwrap();
        let key = sites(&module)[0].key.clone();
        let wide = TEXT
            .replace("[1:0]", "[7:0]")
            .replace("w2", "w8")
            .replace("2'd2", "8'd2");
        let text = mutated(&wide, &Ports::new(), &key).unwrap();
        assert!(text.contains("(a | 8'd2)"), "{text}");
    }
}
