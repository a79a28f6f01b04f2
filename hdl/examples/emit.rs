//! Writes the emitted Verilog of a preset, or of a TOML file, to a folder:
//! `cargo run --example emit -- tiny array out`; `stream` and `axi` give the accelerator.
use std::path::PathBuf;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "tiny".to_owned());
    let interface = args.next().unwrap_or_else(|| "array".to_owned());
    let out = PathBuf::from(args.next().unwrap_or_else(|| ".".to_owned()));
    let config = match std::fs::read_to_string(&name) {
        Ok(text) => ArrayConfig::from_toml(&text)?,
        Err(_) => ArrayConfig::preset(&name)?,
    };
    let design = config.validate()?;
    let package = match interface.as_str() {
        "array" => xnorforge_hdl::generate(&design)?,
        "axi" => xnorforge_hdl::generate_axi(&AcceleratorDesign::new(&design)?)?,
        _ => xnorforge_hdl::generate_accelerator(&AcceleratorDesign::new(&design)?)?,
    };
    std::fs::create_dir_all(&out)?;
    for file in &package.files {
        std::fs::write(out.join(&file.name), &file.text)?;
        println!("{}", file.name);
    }
    Ok(())
}
