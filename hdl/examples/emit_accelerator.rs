//! Writes the Verilog of a preset's accelerator to a folder.
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let design = AcceleratorDesign::new(&ArrayConfig::preset(&args[1])?.validate()?)?;
    std::fs::create_dir_all(&args[2])?;
    for file in xnorforge_hdl::generate_accelerator(&design)?.files {
        std::fs::write(format!("{}/{}", args[2], file.name), file.text)?;
    }
    Ok(())
}
