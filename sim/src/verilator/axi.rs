//! The Verilated RTL of an accelerator with AMBA ports as an [`AxiTop`].

use super::array::ArrayOptions;
use super::clocked::{Clocked, Stream};
use super::model::{Library, VerilatedModel};
use super::source::words;
use crate::accelerator::{AxiInputs, AxiOutputs, AxiTop, ResultTransfer};
use crate::simulator::SimulatorError;

/// Numbers of the top module's ports.
#[derive(Debug)]
struct Ports {
    aclk: usize,
    aresetn: usize,
    awvalid: usize,
    awready: usize,
    awaddr: usize,
    wvalid: usize,
    wready: usize,
    wdata: usize,
    wstrb: usize,
    bvalid: usize,
    bready: usize,
    bresp: usize,
    arvalid: usize,
    arready: usize,
    araddr: usize,
    rvalid: usize,
    rready: usize,
    rdata: usize,
    rresp: usize,
    program: Stream,
    weight: Stream,
    input: Stream,
    result: Stream,
    result_keep: usize,
    irq: usize,
}

impl Ports {
    fn new(model: &VerilatedModel) -> Self {
        let port = |name: &str| {
            model
                .port(name)
                .expect("a package of `generate_axi` has every port that is used here")
        };
        let lite = |name: &str| port(&format!("s_axil_{name}"));
        Ports {
            aclk: port("aclk"),
            aresetn: port("aresetn"),
            awvalid: lite("awvalid"),
            awready: lite("awready"),
            awaddr: lite("awaddr"),
            wvalid: lite("wvalid"),
            wready: lite("wready"),
            wdata: lite("wdata"),
            wstrb: lite("wstrb"),
            bvalid: lite("bvalid"),
            bready: lite("bready"),
            bresp: lite("bresp"),
            arvalid: lite("arvalid"),
            arready: lite("arready"),
            araddr: lite("araddr"),
            rvalid: lite("rvalid"),
            rready: lite("rready"),
            rdata: lite("rdata"),
            rresp: lite("rresp"),
            program: Stream::new(port, "s_axis_program_t"),
            weight: Stream::new(port, "s_axis_weight_t"),
            input: Stream::new(port, "s_axis_input_t"),
            result: Stream::new(port, "m_axis_result_t"),
            result_keep: port("m_axis_result_tkeep"),
            irq: port("irq"),
        }
    }
}

/// The Verilated RTL of an accelerator with AMBA ports.
#[derive(Debug)]
pub struct VerilatedAxi {
    rtl: Clocked,
    ports: Ports,
    outputs: AxiOutputs,
    data: Vec<u64>,
    keep: Vec<u64>,
}

impl VerilatedAxi {
    /// Starts a model of the [`super::ModelSource::of_package`] of [`xnorforge_hdl::generate_axi`]; it is not reset yet.
    ///
    /// # Errors
    /// [`SimulatorError`] when it stops at once.
    ///
    /// # Panics
    /// If the library is one of something else.
    pub fn of_library(library: &Library, options: &ArrayOptions) -> Result<Self, SimulatorError> {
        let model = library.start(options.seed)?;
        let ports = Ports::new(&model);
        let buffer = |port: usize| vec![0; words(&model.ports()[port])];
        Ok(VerilatedAxi {
            outputs: AxiOutputs::default(),
            data: buffer(ports.result.data),
            keep: buffer(ports.result_keep),
            rtl: Clocked::new(model, ports.aclk, options.trace.as_ref()),
            ports,
        })
    }

    fn drive(&mut self, inputs: &AxiInputs<'_>) {
        let (p, model) = (&self.ports, &mut self.rtl.model);
        let bit = |value: bool| [u64::from(value)];
        model.set(p.aresetn, &bit(!inputs.reset));
        // Without an offer, payloads keep their last values: what is not valid must not matter.
        model.set(p.awvalid, &bit(inputs.write_address.is_some()));
        if let Some(address) = inputs.write_address {
            model.set(p.awaddr, &[address.into()]);
        }
        model.set(p.wvalid, &bit(inputs.write_data.is_some()));
        if let Some((data, strobes)) = inputs.write_data {
            model.set(p.wdata, &[data.into()]);
            model.set(p.wstrb, &[strobes.into()]);
        }
        model.set(p.bready, &bit(inputs.bready));
        model.set(p.arvalid, &bit(inputs.read_address.is_some()));
        if let Some(address) = inputs.read_address {
            model.set(p.araddr, &[address.into()]);
        }
        model.set(p.rready, &bit(inputs.rready));
        p.program.offer_word(model, inputs.program);
        p.weight.offer(model, inputs.weight);
        p.input.offer(model, inputs.input);
        model.set(p.result.ready, &bit(inputs.result_ready));
    }

    fn read(&mut self) {
        let (p, model) = (&self.ports, &self.rtl.model);
        let bit = |port| model.word(port) != 0;
        let result = bit(p.result.valid).then(|| {
            model.get(p.result.data, &mut self.data);
            model.get(p.result_keep, &mut self.keep);
            let values = model.ports()[p.result.data].width as usize / 32;
            let bytes = |value: usize| self.keep[value / 16] >> (value % 16 * 4) & 0xf;
            let word = |value: usize| (self.data[value / 2] >> (value % 2 * 32)) as u32;
            let keep: Vec<bool> = (0..values).map(|value| bytes(value) == 0xf).collect();
            ResultTransfer {
                // A value of which only some bytes are kept shows: it is none of the model's.
                values: (0..values)
                    .map(|value| if bytes(value) == 0 { 0 } else { word(value) })
                    .collect(),
                keep,
                last: bit(p.result.last),
            }
        });
        self.outputs = AxiOutputs {
            awready: bit(p.awready),
            wready: bit(p.wready),
            write_response: bit(p.bvalid).then(|| model.word(p.bresp) as u8),
            arready: bit(p.arready),
            read_response: bit(p.rvalid)
                .then(|| (model.word(p.rdata) as u32, model.word(p.rresp) as u8)),
            irq: bit(p.irq),
            program_ready: bit(p.program.ready),
            weight_ready: bit(p.weight.ready),
            input_ready: bit(p.input.ready),
            result,
        };
    }
}

impl AxiTop for VerilatedAxi {
    fn name(&self) -> &str {
        "RTL"
    }

    fn step(&mut self, inputs: &AxiInputs<'_>) -> Result<&AxiOutputs, SimulatorError> {
        self.drive(inputs);
        self.rtl.settle()?;
        self.read();
        self.rtl.edge()?;
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.rtl.cycle()
    }
}
