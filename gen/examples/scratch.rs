//! x
use xnorforge::{area::*, tools::*};
fn main() {
    let y = Search::from_environment().find(&YOSYS).unwrap();
    let u = standard_units(std::path::Path::new("testbenches/naive")).unwrap();
    println!(
        "{}",
        run_area_report(&y, &u).unwrap_or_else(|e| e.to_string())
    );
}
