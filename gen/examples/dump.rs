//! Temporary.
use xnorforge::estimate::{Hardware, quantities, sample::Sample};
use xnorforge_hdl::AcceleratorDesign;
fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let s = Sample::parse(&text).unwrap();
    let mut out = vec![];
    for (held, m) in s
        .fitted
        .iter()
        .map(|m| (0, m))
        .chain(s.held_out.iter().map(|m| (1, m)))
    {
        let d = AcceleratorDesign::new(&m.configuration.validate().unwrap()).unwrap();
        let q = |h| {
            let v = quantities::of(h);
            quantities::NAMES
                .iter()
                .zip(v)
                .map(|((n, _), v)| (n.to_string(), v.into()))
                .collect::<serde_json::Map<_, serde_json::Value>>()
        };
        out.push(serde_json::json!({"held": held, "structure": d.design().structure().name(), "c": m.configuration, "qa": q(Hardware::Array(d.design())), "qx": q(Hardware::Accelerator(&d)), "array": m.array, "accelerator": m.accelerator}));
    }
    println!("{}", serde_json::Value::from(out));
}
