//! Models of area: their error, what they refuse, and how commands show them.

mod common;

use common::Folder;
use xnorforge::estimate::features::{Part, group_of};
use xnorforge::estimate::sample::{Sample, kind_of};
use xnorforge::estimate::{Hardware, Model, model};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig, Target, generate, generate_axi};

/// The targets that have a model, and the mean and worst error in percent that `docs/estimates.md` states for it.
const BOUNDS: [(Target, f64, f64); 4] = [
    (Target::Xilinx, 2.0, 10.0),
    (Target::Ecp5, 2.0, 10.0),
    (Target::Ice40, 2.0, 10.0),
    (Target::Asic, 3.0, 10.5),
];

fn preset(name: &str, target: Target) -> AcceleratorDesign {
    let config = ArrayConfig {
        target,
        ..ArrayConfig::preset(name).unwrap()
    };
    AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
}

fn sample_text(target: Target) -> String {
    let path = format!("{}/data/{target}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_module_has_a_kind_that_models_know() {
    for target in [Target::Xilinx, Target::Ecp5, Target::Ice40, Target::Asic] {
        for name in ["tiny", "default"] {
            let design = preset(name, target);
            let array = generate(design.design()).unwrap();
            let accelerator = generate_axi(&design).unwrap();
            for module in array.modules.iter().chain(&accelerator.modules) {
                let kind = kind_of(&module.name);
                assert!(
                    group_of(kind).is_some(),
                    "{target} {name}: `{}`, `{kind}`",
                    module.name
                );
            }
        }
    }
}

#[test]
fn kinds_are_names_without_sizes() {
    for (module, kind) in [
        ("xnf_word_memory_d64_w5", "word_memory"),
        ("xnf_popcount_n32_p1_g1_d3_5", "popcount"),
        ("xnf_skew_mode", "skew_mode"),
        ("xnf_axi_accelerator_r2_c3_l5", "axi_accelerator"),
    ] {
        assert_eq!(kind_of(module), kind);
    }
}

#[test]
fn samples_come_back_from_their_text() {
    for (target, ..) in BOUNDS {
        let text = sample_text(target);
        let sample = Sample::parse(&text).unwrap();
        assert_eq!(sample.target, target);
        assert_eq!(sample.to_text(), text);
        let mut anew = sample.clone();
        anew.quantities.clear();
        anew.derive().unwrap();
        assert_eq!(anew, sample, "{target}: derived anew");
        assert_eq!(Some(&Model::new(&sample).unwrap()), model(target));
    }
}

/// The bounds that `docs/estimates.md` states: mean and worst error in percent on designs that no fit saw.
#[test]
fn errors_are_below_their_stated_bounds() {
    for (target, mean, worst) in BOUNDS {
        let model = model(target).unwrap();
        for error in [model.cross_validated(), model.held_out()] {
            assert!(error.measurements > 0);
            assert!(error.mean_percent <= mean, "{target}: {error:?}");
            assert!(error.worst_percent <= worst, "{target}: {error:?}");
        }
    }
}

#[test]
fn parts_are_the_estimate() {
    for (target, ..) in BOUNDS {
        let design = preset("default", target);
        for hardware in [
            Hardware::Array(design.design()),
            Hardware::Accelerator(&design),
        ] {
            let model = model(target).unwrap();
            let (parts, estimate) = (
                model.parts(hardware).unwrap(),
                model.estimate(hardware).unwrap(),
            );
            let sum: f64 = parts.values().map(|counts| counts.sites).sum();
            assert_eq!(sum.round(), estimate.luts);
            assert!(parts[&Part::Elements].sites > 0.0);
            assert_eq!(estimate.error_percent, model.error().mean_percent);
        }
    }
}

#[test]
fn past_the_sample_there_is_a_reason_and_no_number() {
    let config = ArrayConfig {
        rows: 1024,
        target: Target::Ecp5,
        ..ArrayConfig::default()
    };
    let design = config.validate().unwrap();
    let refused = model(Target::Ecp5)
        .unwrap()
        .estimate(Hardware::Array(&design));
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("rows") && text.contains("1024") && text.contains("synth"),
        "{text}"
    );
}

#[test]
fn explore_shows_estimates_and_keeps_limits_on_them() {
    let folder = Folder::new();
    let sweep = "explore --gemm 64x576x64 --bits 2x2 --target ecp5 --sweep-rows 4,8 --sweep-columns 4,8 --sweep-lanes 32,64";
    let all = folder.succeed(&format!("{sweep} --front cycles,luts --out all"));
    assert!(
        all.contains("LUTs (estimate)") && all.contains("off in the mean"),
        "{all}"
    );
    let page = folder.read("all/report.html");
    assert!(page.contains("off in the mean"));
    let csv = folder.read("all/points.csv");
    assert!(
        csv.lines()
            .next()
            .unwrap()
            .ends_with("estimate_error_worst_percent")
    );
    let some = folder.succeed(&format!("{sweep} --constraint luts=6000"));
    assert!(some.contains("do not keep the constraints"), "{some}");
    let error = folder.failures(2, &[&format!("{sweep} --constraint energy_uj=1")]);
    assert!(error.contains("energy_uj"), "{error}");
}

#[test]
fn a_model_of_another_target_or_of_nothing_is_refused() {
    let folder = Folder::new();
    folder.write("other.json", sample_text(Target::Ecp5));
    folder.write("bad.json", "{}");
    let explore = "explore --gemm 8x64x8 --bits 1x1 --target ice40 --area-model";
    let error = folder.failures(2, &[&format!("{explore} other.json")]);
    assert!(error.contains("ice40") && error.contains("ecp5"), "{error}");
    let error = folder.failures(2, &[&format!("{explore} bad.json")]);
    assert!(error.contains("calibrate"), "{error}");
}
