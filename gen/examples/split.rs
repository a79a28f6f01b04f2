//! LUTs of an accelerator, module by module.
use xnorforge::area::split;
use xnorforge::tools::{Search, YOSYS};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, Target};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let preset = std::env::args().nth(1).unwrap_or("default".into());
    let design = ArrayConfig::preset(&preset)?.validate()?;
    let design = AcceleratorDesign::new(&design)?;
    let package = xnorforge_hdl::generate_accelerator(&design)?;
    let array = package
        .modules
        .iter()
        .find(|m| m.name.starts_with("xnf_pe_array"))
        .unwrap();
    let yosys = Search::from_environment().find(&YOSYS)?;
    let found = split::split(&yosys, &package, &array.name.clone(), Target::Xilinx)?;
    println!("{}", split::table(&found));
    Ok(())
}
