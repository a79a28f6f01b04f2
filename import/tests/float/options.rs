//! Precision files that are refused.

use xnorforge_import::float::Quantization;

#[test]
fn wrong_files_are_refused() {
    let texts = [
        "weights = 3",
        "[weights]\nbit = 3",
        "[weights]\nbits = 0",
        "[input]\nbits = 9",
        "[weights]\nbits = 2.5",
        "[weights]\nbits = 3\nencoding = \"ternary\"",
        "[weights]\nencoding = \"unsigned\"",
        "[activations]\nbits = 1\nencoding = \"signed\"",
        "[activations]\nencoding = \"odd\"",
        "[activations]\ncalibration = { percentile = 0 }",
        "[last.activations]\ncalibration = { percentile = 101.5 }",
        "[activations]\nper_channel = true",
        "[[layer]]\nweights = { bits = 2 }",
        "[[layer]]\nname = \"conv*\"\nweights = { bits = 12 }",
        "[weights",
    ];
    let mut found = String::new();
    for text in texts {
        found += &format!("{}\n", Quantization::from_toml(text).unwrap_err());
    }
    for text in ["{", "{\"weights\": {\"bits\": 9}}", "{\"layers\": []}"] {
        found += &format!("{}\n", Quantization::from_json(text).unwrap_err());
    }
    // Bits and encoding from different tables.
    let options = Quantization::from_toml(
        "[activations]\nbits = 1\n[[layer]]\nname = \"fc\"\nactivations = { encoding = \"signed\" }",
    );
    let error = options
        .unwrap()
        .of_activations("fc", false, false)
        .unwrap_err();
    found += &format!("{error}\n");
    insta::assert_snapshot!(found);
}
