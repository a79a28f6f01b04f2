//! ResNet-18 W2A2 for images of 224 x 224 on `large`: results and cycles.

#[path = "../../tests/common/resnet.rs"]
mod resnet;

use super::{rounded, shortest_times, shortest_wall_times, single_thread, table};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use std::time::Duration;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::network::{Network, Tensor};
use xnorforge_sim::program::{NetworkReport, Program, run};

/// A network, its program and an image.
pub struct ResNet {
    pub network: Network,
    pub program: Program,
    pub image: Tensor,
}

impl ResNet {
    /// With random weights.
    pub fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let network = resnet::resnet18(1, 224, 2, 2);
        let mut image = Tensor::zeros(1, network.input);
        image.values.fill_with(|| rng.random_range(0..256));
        let design = ArrayConfig::preset("large").and_then(|config| config.validate());
        let design = AcceleratorDesign::new(&design.expect("legal")).expect("legal");
        ResNet {
            program: Program::compile(&design, 1, &network).expect("it fits"),
            network,
            image,
        }
    }

    /// Results and cycles.
    pub fn run(&self) -> NetworkReport {
        run(&self.program, &self.network, &self.image).expect("legal")
    }
}

/// Measures and gives the section of the page.
pub fn section() -> String {
    let resnet = ResNet::new();
    let report = resnet.run();
    let mut job = || {
        black_box(resnet.run());
    };
    let one = single_thread().install(|| shortest_times(10, &mut [&mut job])[0]);
    let all = shortest_wall_times(10, &mut [&mut job])[0];
    let pairs: u64 = report.layers.iter().map(|layer| layer.binary_pairs).sum();
    let row = |name: &str, time: Duration| {
        let seconds = time.as_secs_f64();
        vec![
            name.to_owned(),
            rounded(pairs as f64 / seconds),
            rounded(report.cycles as f64 / seconds),
            rounded(1e3 * seconds),
        ]
    };
    let rows = [row("one thread", one), row("all threads, by the wall", all)];
    let head = ["threads", "operation pairs/s", "simulated cycles/s", "ms"];
    format!(
        "### `run()` of ResNet-18 W2A2, one image of 224 x 224\n\n{}",
        table(&head, &rows)
    )
}
