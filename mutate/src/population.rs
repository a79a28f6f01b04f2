//! The faults that can be drawn: those of all modules of some reference designs.

use crate::instrument::{Plan, all_ports};
use crate::report::describe;
use crate::sites::{Key, Operator, family, sites};
use crate::statements::read;
use anyhow::{Result, anyhow};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use xnorforge_hdl::{AcceleratorDesign, Package, Target, generate, generate_axi, references};

/// The designs whose modules are mutated: the [`mod@references`], which the tests run.
///
/// # Errors
/// A design that is refused or cannot be emitted.
pub fn references() -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for target in Target::ALL {
        for structure in references::structures(target) {
            let configs = references::arrays(target, *structure);
            // A structure may be for one branch pair only.
            for design in configs.iter().filter_map(|config| config.validate().ok()) {
                packages.push(generate(&design)?);
            }
        }
    }
    for config in references::broadcast_arrays() {
        packages.push(generate(&config.validate()?)?);
    }
    for config in references::accelerators() {
        let design = AcceleratorDesign::new(&config.validate()?)?;
        packages.push(generate_axi(&design)?);
    }
    Ok(packages)
}

/// All faults of the designs, by module without its sizes and by kind.
pub type Population = BTreeMap<String, BTreeMap<Operator, Vec<Key>>>;

/// Reads all modules of some designs.
///
/// # Errors
/// A module that is not of the form which the reader knows.
pub fn population(packages: &[Package]) -> Result<Population> {
    let mut seen = BTreeSet::new();
    let mut found = Population::new();
    for package in packages {
        let ports = all_ports(package.simulation_files().map(|f| f.text.as_str()));
        for file in &package.files {
            let module = read(&file.text, &ports).map_err(|e| anyhow!("{}: {e}", file.name))?;
            for site in sites(&module) {
                if seen.insert(site.key.clone()) {
                    let group = found.entry(family(&site.key.unit).to_owned()).or_default();
                    group.entry(site.key.operator).or_default().push(site.key);
                }
            }
        }
    }
    Ok(found)
}

/// Draws faults: from all modules in turn, of each a kind, and of the kind a fault; no fault twice.
pub fn sample(population: &Population, count: usize, seed: u64) -> Vec<Key> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut left = population.clone();
    let mut drawn = Vec::new();
    while drawn.len() < count && !left.is_empty() {
        let mut groups: Vec<String> = left.keys().cloned().collect();
        groups.shuffle(&mut rng);
        for group in groups {
            if drawn.len() == count {
                break;
            }
            let Some(kinds) = left.get_mut(&group) else {
                continue;
            };
            let all: Vec<Operator> = kinds.keys().copied().collect();
            if let Some(kind) = all.choose(&mut rng)
                && let Some(keys) = kinds.get_mut(kind)
            {
                drawn.push(keys.swap_remove(rng.random_range(0..keys.len())));
                if keys.is_empty() {
                    kinds.remove(kind);
                }
            }
            if kinds.is_empty() {
                left.remove(&group);
            }
        }
    }
    drawn.sort();
    drawn
}

/// The faults that the lists of a page name (`docs/mutation.md`); `...` stands for the rest of a long expression.
pub fn listed(population: &Population, page: &str) -> Vec<Key> {
    let lines: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("- ")).collect();
    let names = |line: &str, key: &Key| {
        let name = describe(key);
        let place = format!("` (occurrence {})", key.occurrence);
        match line.split_once("...`") {
            Some((start, end)) => name.starts_with(start) && format!("`{end}").starts_with(&place),
            None => line.starts_with(&name),
        }
    };
    let all = population.values().flat_map(|g| g.values()).flatten();
    all.filter(|key| lines.iter().any(|line| names(line, key)))
        .cloned()
        .collect()
}

/// Numbers for faults.
pub fn plan(keys: &[Key]) -> Plan {
    keys.iter().cloned().zip(1..).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::instrument;
    use std::collections::HashMap;

    #[test]
    fn a_page_names_faults() {
        let text = "module xnf_m (input [3:0] a, output [3:0] q, output p); assign q = a & 4'd2; assign p = a == 4'd2; endmodule";
        let module = read(text, &HashMap::new()).unwrap();
        let keys: Vec<Key> = sites(&module).into_iter().map(|s| s.key).collect();
        let mut population = Population::new();
        for key in &keys {
            let group = population.entry(key.unit.clone()).or_default();
            group.entry(key.operator).or_default().push(key.clone());
        }
        for key in &keys {
            let (line, only) = (describe(key), std::slice::from_ref(key));
            assert_eq!(listed(&population, &format!("Text\n- {line}: why\n")), only);
            let short = line.replace(" #`", "...`");
            assert_ne!(short, line);
            assert_eq!(listed(&population, &format!("- {short}\n")), only);
            assert!(listed(&population, &line).is_empty(), "no list");
        }
    }

    #[test]
    fn every_module_can_be_read_and_has_its_faults() {
        let packages = references().unwrap();
        let population = population(&packages).unwrap();
        let faults: usize = population
            .values()
            .flat_map(|g| g.values())
            .map(Vec::len)
            .sum();
        println!("{} modules, {faults} faults", population.len());
        assert!(population.len() >= 80 && faults > 5000);
        let keys = sample(&population, 400, 1);
        assert_eq!(keys.len(), 400);
        let drawn: BTreeSet<&str> = keys.iter().map(|key| family(&key.unit)).collect();
        assert_eq!(drawn.len(), population.len(), "every module has its share");
        let plan = plan(&keys);
        let mut found = BTreeSet::new();
        for package in &packages {
            let ports = all_ports(package.simulation_files().map(|f| f.text.as_str()));
            for file in &package.files {
                if let Some(text) = instrument(&file.text, &ports, &plan).unwrap() {
                    let numbers = text.split("xnf_mutant == 16'd").skip(1);
                    found.extend(numbers.filter_map(|t| t.split(')').next()?.parse::<u16>().ok()));
                }
            }
        }
        assert_eq!(found.len(), 400, "every fault is in a module");
    }
}
