//! The Verilated block `AxiLite`, and a master for it.

use crate::common::verilated;
use xnorforge_hdl::hardware::accelerator::AxiLite;
use xnorforge_hdl::{AcceleratorConfig, AcceleratorDesign, ArrayConfig, emit};
use xnorforge_sim::accelerator::{AxiLiteInputs, AxiLiteOutputs};
use xnorforge_sim::verilator::VerilatedModel;

pub fn design(name: &str, accelerator: AcceleratorConfig) -> AcceleratorDesign {
    let config = ArrayConfig {
        accelerator,
        ..ArrayConfig::preset(name).unwrap()
    };
    AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
}

pub fn designs() -> Vec<AcceleratorDesign> {
    let small = AcceleratorConfig {
        program_words: 64,
        layers: 2,
        ..AcceleratorConfig::default()
    };
    let large = AcceleratorConfig {
        program_words: 1 << 20,
        layers: 256,
        ..AcceleratorConfig::default()
    };
    vec![
        design("small", AcceleratorConfig::default()),
        design("tiny", small),
        design("large", large),
    ]
}

/// The Verilated block.
pub struct Rtl {
    model: VerilatedModel,
}

impl Rtl {
    pub fn new(design: &AcceleratorDesign, seed: u32) -> Self {
        let package = emit::emit(&AxiLite::new(design), "// test\n").unwrap();
        let mut rtl = Rtl {
            model: verilated(&package, seed),
        };
        rtl.edge(&AxiLiteInputs {
            reset: true,
            ..AxiLiteInputs::default()
        });
        rtl
    }

    fn set(&mut self, name: &str, value: u64) {
        let port = self.model.port(name).unwrap();
        self.model.set(port, &[value]);
    }

    fn get(&self, name: &str) -> u32 {
        let mut value = [0];
        self.model.get(self.model.port(name).unwrap(), &mut value);
        value[0] as u32
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name) == 1
    }

    /// Sets the inputs and lets the clock rise and fall. Where nothing is offered, the payload is noise.
    pub fn edge(&mut self, inputs: &AxiLiteInputs) {
        const NOISE: u32 = 0x5a5a_5a5a;
        let (data, strobes) = inputs.write_data.unwrap_or((NOISE, 0xa));
        for (name, value) in [
            ("clock", 0),
            ("reset", inputs.reset.into()),
            ("awvalid", inputs.write_address.is_some().into()),
            ("awaddr", inputs.write_address.unwrap_or(NOISE)),
            ("wvalid", inputs.write_data.is_some().into()),
            ("wdata", data),
            ("wstrb", strobes.into()),
            ("bready", inputs.bready.into()),
            ("arvalid", inputs.read_address.is_some().into()),
            ("araddr", inputs.read_address.unwrap_or(NOISE)),
            ("rready", inputs.rready.into()),
            ("busy", inputs.busy.into()),
            ("done", inputs.done.into()),
            ("error", inputs.error.into()),
            ("layer", inputs.layer.into()),
            ("counter_clearing", inputs.counter_clearing.into()),
            ("counter_value", inputs.counter_value),
        ] {
            self.set(name, value.into());
        }
        self.model.eval().unwrap();
        self.set("clock", 1);
        self.model.eval().unwrap();
    }

    pub fn outputs(&self) -> AxiLiteOutputs {
        let response = |name| self.get(name) as u8;
        AxiLiteOutputs {
            awready: self.flag("awready"),
            wready: self.flag("wready"),
            write_response: self.flag("bvalid").then(|| response("bresp")),
            arready: self.flag("arready"),
            read_response: self
                .flag("rvalid")
                .then(|| (self.get("rdata"), response("rresp"))),
            irq: self.flag("irq"),
            start: self.flag("start"),
            soft_reset: self.flag("soft_reset"),
            counter_clear: self.flag("counter_clear"),
            start_address: self.get("start_address"),
            runs: self.get("runs") as u16,
            counter_address: self.get("counter_address"),
        }
    }
}

/// One write and one read side by side: in which cycle each of the five channels moves first.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub address: u32,
    pub data: u32,
    pub write_response: u32,
    pub read_address: u32,
    pub read_response: u32,
}

/// What a write and a read were answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answers {
    pub write: u8,
    pub read: (u32, u8),
}

/// Carries out a write and a read in the order given, and checks the protocol on the way: answers come once, after
/// what they answer, and stand still until they are taken.
pub fn transact(
    rtl: &mut Rtl,
    core: &AxiLiteInputs,
    write: (u32, u32, u8),
    read: u32,
    order: Order,
) -> Answers {
    let (mut aw_done, mut w_done, mut ar_done) = (false, false, false);
    let (mut b, mut r) = (None, None);
    let (mut b_stands, mut r_stands) = (None, None);
    for cycle in 0..64 {
        let outputs = rtl.outputs();
        let inputs = AxiLiteInputs {
            write_address: (!aw_done && cycle >= order.address).then_some(write.0),
            write_data: (!w_done && cycle >= order.data).then_some((write.1, write.2)),
            bready: cycle >= order.write_response,
            read_address: (!ar_done && cycle >= order.read_address).then_some(read),
            rready: cycle >= order.read_response,
            ..*core
        };
        let context = format!("{order:?}, cycle {cycle}");
        if b_stands.is_some() {
            assert_eq!(outputs.write_response, b_stands, "{context}");
        }
        if r_stands.is_some() {
            assert_eq!(outputs.read_response, r_stands, "{context}");
        }
        if let Some(response) = outputs.write_response {
            assert!(aw_done && w_done && b.is_none(), "{context}");
            b_stands = (!inputs.bready).then_some(response);
            b = inputs.bready.then_some(response);
        }
        if let Some(response) = outputs.read_response {
            assert!(ar_done && r.is_none(), "{context}");
            r_stands = (!inputs.rready).then_some(response);
            r = inputs.rready.then_some(response);
        }
        aw_done |= inputs.write_address.is_some() && outputs.awready;
        w_done |= inputs.write_data.is_some() && outputs.wready;
        ar_done |= inputs.read_address.is_some() && outputs.arready;
        rtl.edge(&inputs);
        if let (Some(write), Some(read)) = (b, r) {
            let after = rtl.outputs();
            assert_eq!((after.write_response, after.read_response), (None, None));
            return Answers { write, read };
        }
    }
    panic!("{order:?}: no answer");
}

/// Everything at once.
pub const TOGETHER: Order = Order {
    address: 0,
    data: 0,
    write_response: 0,
    read_address: 0,
    read_response: 0,
};
