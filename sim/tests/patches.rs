//! The patch system: RTL and model in lockstep, and both against plain loops over the tensors.

mod common;

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rust_hdl_core::block::Block;
use rust_hdl_core::direction::{In, Out};
use rust_hdl_core::simulate::simulate;
use xnorforge_hdl::accelerator::{Descriptor, Field, Opcode};
use xnorforge_hdl::emit::emit;
use xnorforge_hdl::hardware::accelerator::PatchSystem;
use xnorforge_hdl::rtl::{Net, Word};
use xnorforge_hdl::{AcceleratorConfig, AcceleratorDesign, ArrayConfig};
use xnorforge_sim::accelerator::load_timing::{full_cycles, pool_cycles};
use xnorforge_sim::accelerator::{PatchFields, PatchInputs, PatchSystemModel};
use xnorforge_sim::verilator::VerilatedModel;

/// Cycles in which anything must have happened.
const PATIENCE: u32 = 20_000;
/// Passes after which a design without loops has settled.
const PASSES_MAX: usize = 200;

fn design(config: &ArrayConfig) -> AcceleratorDesign {
    AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
}

/// Small memories, so that a test fills them quickly.
fn config(
    rows: u32,
    columns: u32,
    lanes: u32,
    bits: u32,
    branches: u32,
    ports: u32,
) -> ArrayConfig {
    ArrayConfig {
        rows,
        columns,
        lanes,
        activation_bits: bits,
        activation_branches: branches,
        reduction_max: 64,
        popcount_stages: 1,
        accelerator: AcceleratorConfig {
            load_ports: ports,
            activation_words: 256,
            residual_words: 64,
            patch_words: 128,
            ..AcceleratorConfig::default()
        },
        ..ArrayConfig::default()
    }
}

fn start(design: &AcceleratorDesign) -> VerilatedModel {
    let package = emit(&PatchSystem::new(design), "// Block under test.\n").unwrap();
    common::verilated(&package, 1)
}

/// Planes of `lanes` bits, each from a machine word on, as one packed number.
fn packed(planes: &[u64], lanes: usize) -> Vec<u64> {
    let words = lanes.div_ceil(64);
    let count = planes.len() / words;
    let mut out = vec![0; (count * lanes).div_ceil(64)];
    for bit in 0..count * lanes {
        let (plane, lane) = (bit / lanes, bit % lanes);
        let value = planes[plane * words + lane / 64] >> (lane % 64) & 1;
        out[bit / 64] |= value << (bit % 64);
    }
    out
}

/// What is compared with the model.
enum Rtl {
    /// The emitted Verilog.
    Verilated(VerilatedModel),
    /// The kernels and leaves as RustHDL simulates them.
    Kernels(Box<PatchSystem>),
}

/// A port of the kernels by its name.
macro_rules! port {
    ($top:expr, $name:expr, [$($port:ident)*]) => {
        match $name {
            $(stringify!($port) => Some(&mut $top.$port),)*
            _ => None,
        }
    };
}

fn kernel_input<'t>(top: &'t mut PatchSystem, name: &str) -> Option<&'t mut Net<In>> {
    port!(
        top,
        name,
        [reset go_compute go_pool in_base in_pitch in_last image_pitch line_granules run_granules runs
            kernel_lines origin_x step_x tap_x out_width out_height pad_code origin_line step_line tap_line
            chunks groups row_tiles last_rows out_base out_pitch out_last out_granule out_pixel input_write
            input_address input_value back_write back_address back_value patch_release patch_read
            patch_read_address]
    )
}

/// A word's bits as machine words.
fn bits_of(words: &[Word]) -> Vec<u64> {
    let bits: Vec<bool> = words
        .iter()
        .flat_map(|word| (0..word.bits()).map(|bit| word.get_bit(bit)))
        .collect();
    let number = |bits: &[bool]| (0..).zip(bits).map(|(i, bit)| u64::from(*bit) << i).sum();
    bits.chunks(64).map(number).collect()
}

impl Rtl {
    fn has(&mut self, name: &str) -> bool {
        match self {
            Rtl::Verilated(model) => model.port(name).is_some(),
            Rtl::Kernels(top) => kernel_input(top, name).is_some(),
        }
    }

    fn set(&mut self, name: &str, value: &[u64]) {
        match self {
            Rtl::Verilated(model) => {
                let port = model.port(name).unwrap_or_else(|| panic!("no port {name}"));
                model.set(port, value);
            }
            Rtl::Kernels(top) if name == "clock" => top.clock.next = (value[0] == 1).into(),
            Rtl::Kernels(top) => {
                let net = kernel_input(top, name).unwrap_or_else(|| panic!("no port {name}"));
                let bit = |i: usize| value[i / 64] >> (i % 64) & 1 == 1;
                net.next = Word::from_bits((0..net.next.bits()).map(bit));
            }
        }
    }

    fn get(&self, name: &str) -> Vec<u64> {
        let top = match self {
            Rtl::Verilated(model) => {
                let port = model.port(name).unwrap_or_else(|| panic!("no port {name}"));
                let mut value = vec![0; model.ports()[port].width.div_ceil(64) as usize];
                model.get(port, &mut value);
                return value;
            }
            Rtl::Kernels(top) => top,
        };
        bits_of(&match name {
            "patch_full" => vec![top.patch_full.val()],
            "pool_finished" => vec![top.pool_finished.val()],
            "patch_error" => vec![top.patch_error.val()],
            _ => top
                .activation
                .iter()
                .flatten()
                .map(Net::<Out>::val)
                .collect(),
        })
    }

    fn eval(&mut self) {
        match self {
            Rtl::Verilated(model) => model.eval().unwrap(),
            Rtl::Kernels(top) => assert!(simulate(top.as_mut(), PASSES_MAX), "no rest"),
        }
    }
}

/// The RTL and the model, in lockstep.
struct Bench {
    design: AcceleratorDesign,
    rtl: Rtl,
    model: PatchSystemModel,
    descriptor: Descriptor,
    fields: PatchFields,
    /// Whether all patch buffers have been written and read: before, their outputs mean nothing.
    has_read: bool,
    cycle: u64,
}

impl Bench {
    fn new(design: &AcceleratorDesign, rtl: Rtl) -> Self {
        let descriptor = Descriptor::new(Opcode::Compute);
        let mut bench = Bench {
            design: design.clone(),
            rtl,
            model: PatchSystemModel::new(design),
            fields: PatchFields::new(&descriptor),
            descriptor,
            has_read: false,
            cycle: 0,
        };
        let reset = PatchInputs {
            reset: true,
            ..PatchInputs::default()
        };
        bench.edge(&reset);
        bench.edge(&reset);
        bench
    }

    /// A descriptor's fields at the ports.
    fn load(&mut self, descriptor: &Descriptor) {
        self.descriptor = *descriptor;
        self.fields = PatchFields::new(descriptor);
        for field in Field::ALL {
            if self.rtl.has(field.name()) {
                let mask = u64::MAX >> (64 - field.width(&self.design));
                self.rtl
                    .set(field.name(), &[descriptor.get(*field) as u64 & mask]);
            }
        }
    }

    fn edge(&mut self, inputs: &PatchInputs<'_>) {
        let c = self.design.design().config().clone();
        let (lanes, granule) = (c.lanes as usize, self.design.granule_lanes as usize);
        self.rtl.set("reset", &[inputs.reset.into()]);
        self.rtl.set("go_compute", &[inputs.go_compute.into()]);
        self.rtl.set("go_pool", &[inputs.go_pool.into()]);
        self.rtl
            .set("input_write", &[inputs.input.is_some().into()]);
        if let Some((address, word)) = inputs.input {
            self.rtl.set("input_address", &[address.into()]);
            self.rtl.set("input_value", &packed(word, lanes));
        }
        let slices = inputs.back.map_or(0, |(slices, ..)| slices);
        self.rtl.set("back_write", &[slices]);
        if let Some((_, address, value)) = inputs.back {
            self.rtl.set("back_address", &[address.into()]);
            self.rtl.set("back_value", &packed(value, granule));
        }
        let released = inputs.patch_release.map(u64::from);
        self.rtl
            .set("patch_release", &[released[0] | released[1] << 1]);
        self.rtl
            .set("patch_read", &[inputs.patch_read.is_some().into()]);
        if let Some(address) = inputs.patch_read {
            self.rtl.set("patch_read_address", &[address.into()]);
        }
        for level in [0, 1] {
            self.rtl.set("clock", &[level]);
            self.rtl.eval();
        }
        self.model.edge(inputs, &self.fields);
        self.cycle += 1;
        self.compare();
    }

    fn compare(&self) {
        let expected = self.model.outputs();
        let full = expected.patch_full.map(u64::from);
        let cycle = self.cycle;
        assert_eq!(
            self.rtl.get("patch_full")[0],
            full[0] | full[1] << 1,
            "patch_full, cycle {cycle}"
        );
        let finished = u64::from(expected.pool_finished);
        assert_eq!(
            self.rtl.get("pool_finished")[0],
            finished,
            "pool_finished, cycle {cycle}"
        );
        assert_eq!(
            self.rtl.get("patch_error")[0],
            u64::from(expected.error),
            "patch_error, cycle {cycle}"
        );
        if self.has_read {
            let lanes = self.design.design().config().lanes as usize;
            let activation = packed(expected.activation, lanes);
            assert_eq!(
                self.rtl.get("activation"),
                activation,
                "activation, cycle {cycle}"
            );
        }
    }

    fn fill(&mut self, rng: &mut ChaCha8Rng) {
        let words = self.design.config().activation_words;
        for address in 0..words {
            let word = random_planes(&self.design, rng);
            self.edge(&PatchInputs {
                input: Some((address, &word)),
                ..PatchInputs::default()
            });
        }
        self.edge(&PatchInputs::default());
    }

    /// Writes every word of every patch buffer, so that no output is an unwritten register of the RTL.
    fn fill_patches(&mut self, rng: &mut ChaCha8Rng) {
        let d = self.design.clone();
        let rows = i64::from(d.design().config().rows);
        let words = i64::from(d.patch_half_words());
        let granules = words * i64::from(d.slices);
        let mut descriptor = Descriptor::new(Opcode::Compute);
        for (field, value) in [
            (Field::InLast, words - 1),
            (Field::ImagePitch, granules),
            (Field::LineGranules, granules),
            (Field::RunGranules, granules),
            (Field::Runs, 1),
            (Field::KernelLines, 1),
            (Field::InHeight, 1),
            (Field::OutWidth, 2 * rows),
            (Field::OutHeight, 1),
            (Field::Chunks, words),
            (Field::Groups, 1),
            (Field::RowTiles, 2),
            (Field::LastRows, rows),
        ] {
            assert!(descriptor.set(&d, field, value), "{}", field.name());
        }
        let pixels = 2 * rows;
        compute(self, &Layer { descriptor, pixels }, rng);
    }

    /// Plane bits of a granule in the model's memory: one number for each lane, plane 0 in bit 0.
    fn codes(&self, base: i64, pitch: i64, groups: i64, q: i64) -> Vec<u64> {
        let d = &self.design;
        let c = d.design().config();
        let (planes, words) = (
            c.activation_branches as usize,
            c.lanes.div_ceil(64) as usize,
        );
        let slices = i64::from(d.slices);
        (0..d.granule_lanes as usize)
            .map(|lane| {
                let at = (q % slices) as usize * d.granule_lanes as usize + lane;
                (0..groups as usize * planes)
                    .map(|plane| {
                        let group = (plane / planes) as i64;
                        let word = (base + group * pitch + q / slices) as usize;
                        let from = (word * planes + plane % planes) * words;
                        (self.model.memory()[from + at / 64] >> (at % 64) & 1) << plane
                    })
                    .sum()
            })
            .collect()
    }
}

fn random_planes(design: &AcceleratorDesign, rng: &mut ChaCha8Rng) -> Vec<u64> {
    let c = design.design().config();
    planes_of(c.activation_branches, c.lanes, rng)
}

fn planes_of(planes: u32, lanes: u32, rng: &mut ChaCha8Rng) -> Vec<u64> {
    let words = lanes.div_ceil(64);
    let last = u64::MAX >> (64 * words - lanes);
    (0..planes * words)
        .map(|w| rng.random::<u64>() & if (w + 1) % words == 0 { last } else { u64::MAX })
        .collect()
}

/// A convolution (or, with `pool`, a max-pool) of random sizes that fits the design.
struct Layer {
    descriptor: Descriptor,
    pixels: i64,
}

fn random_layer(design: &AcceleratorDesign, pool: bool, rng: &mut ChaCha8Rng) -> Layer {
    loop {
        if let Some(layer) = try_layer(design, pool, rng) {
            return layer;
        }
    }
}

fn try_layer(design: &AcceleratorDesign, pool: bool, rng: &mut ChaCha8Rng) -> Option<Layer> {
    let slices = i64::from(design.slices);
    let words = i64::from(design.config().activation_words);
    let c = design.design().config();
    let mut r = |low: i64, high: i64| rng.random_range(low..=high);
    let cg = if r(0, 1) == 0 { r(1, 5) } else { 1 << r(0, 3) };
    let (images, height, width) = (r(1, 3), r(1, 6), r(1, 6));
    let groups = r(1, design.design().activation_groups.into());
    let (kh, kw, stride) = (r(1, 3), r(1, 3), r(1, 2));
    let (dilation, padding) = (r(1, 2), r(0, 2));
    let out = |size: i64, kernel: i64| {
        (size + 2 * padding - dilation * (kernel - 1) - 1).div_euclid(stride) + 1
    };
    let (out_width, out_height) = (out(width, kw), out(height, kh));
    if out_width < 1 || out_height < 1 {
        return None;
    }
    let first = r(0, cg - 1);
    let (first, runs, run) = if pool {
        let count = 1 << cg.trailing_zeros().min(slices.trailing_zeros());
        (first / count * count, kw, count)
    } else if dilation == 1 && r(0, 1) == 0 {
        (0, 1, kw * cg)
    } else {
        (first, kw, r(1, cg - first))
    };
    let line = width * cg;
    let granules = images * height * line;
    let pitch = granules.div_euclid(slices) + i64::from(granules % slices > 0) + r(0, 2);
    let used = (groups - 1) * pitch + pitch;
    let in_base = r(0, 20);
    let in_last = in_base + used - 1;
    let pixels = images * out_height * out_width;
    let out_granules = pixels * cg;
    let out_pitch = out_granules / slices + 1 + r(0, 1);
    let out_base = in_last + 1 + r(0, 3);
    let out_last = out_base + groups * out_pitch - 1;
    let chunks = (kh * runs * run + slices - 1) / slices;
    let rows = i64::from(c.rows);
    if in_last >= words
        || (pool && out_last >= words)
        || (!pool && chunks * groups > design.patch_half_words().into())
        || pixels > 400
    {
        return None;
    }
    let opcode = if pool { Opcode::Pool } else { Opcode::Compute };
    let mut descriptor = Descriptor::new(opcode);
    let code_bits = (groups * i64::from(c.activation_branches)).min(8);
    for (field, value) in [
        (Field::InBase, in_base),
        (Field::InPitch, pitch),
        (Field::InLast, in_last),
        (Field::ImagePitch, height * line),
        (Field::LineGranules, line),
        (Field::RunGranules, run),
        (Field::Runs, runs),
        (Field::KernelLines, kh),
        (Field::OriginX, first - padding * cg),
        (Field::StepX, stride * cg),
        (Field::TapX, dilation * cg),
        (Field::InHeight, height),
        (Field::OutWidth, out_width),
        (Field::OutHeight, out_height),
        (Field::OriginY, -padding),
        (Field::StepY, stride),
        (Field::TapY, dilation),
        (Field::PadCode, r(0, (1 << code_bits) - 1)),
        (Field::OriginLine, -padding * line),
        (Field::StepLine, stride * line),
        (Field::TapLine, dilation * line),
        (Field::Chunks, if pool { 1 } else { chunks }),
        (Field::Groups, groups),
        (Field::RowTiles, (pixels + rows - 1) / rows),
        (Field::LastRows, (pixels - 1) % rows + 1),
        (Field::OutBase, out_base),
        (Field::OutPitch, out_pitch),
        (Field::OutLast, out_last.min(words - 1)),
        (Field::OutGranule, if pool { first } else { 0 }),
        (Field::OutPixel, cg),
    ] {
        if !descriptor.set(design, field, value) {
            return None;
        }
    }
    Some(Layer { descriptor, pixels })
}

/// The granules of an output pixel's taps, in order: the granule's number, or none outside the feature map.
fn taps(d: &Descriptor, pixel: i64) -> Vec<Option<i64>> {
    let g = |field| d.get(field);
    let (width, height) = (g(Field::OutWidth), g(Field::OutHeight));
    let (ox, oy) = (pixel % width, pixel / width % height);
    let image = pixel / width / height * g(Field::ImagePitch);
    let mut all = Vec::new();
    for ky in 0..g(Field::KernelLines) {
        let iy = g(Field::OriginY) + oy * g(Field::StepY) + ky * g(Field::TapY);
        for run in 0..g(Field::Runs) {
            for i in 0..g(Field::RunGranules) {
                let gx = g(Field::OriginX) + ox * g(Field::StepX) + run * g(Field::TapX) + i;
                let line = g(Field::LineGranules);
                let inside = (0..g(Field::InHeight)).contains(&iy) && (0..line).contains(&gx);
                all.push(inside.then_some(image + iy * line + gx));
            }
        }
    }
    all
}

/// What the patch buffer of a pixel holds at a word of its half.
fn expected_word(bench: &Bench, pixel: i64, address: i64) -> Vec<u64> {
    let d = &bench.descriptor;
    let design = &bench.design;
    let c = design.design().config();
    let (planes, words) = (
        c.activation_branches as usize,
        c.lanes.div_ceil(64) as usize,
    );
    let (group, chunk) = (
        address / d.get(Field::Chunks),
        address % d.get(Field::Chunks),
    );
    let all = taps(d, pixel);
    let mut word = vec![0; planes * words];
    for slice in 0..design.slices as usize {
        let j = chunk as usize * design.slices as usize + slice;
        let codes = match all.get(j) {
            None => vec![0; design.granule_lanes as usize],
            Some(None) => vec![d.get(Field::PadCode) as u64; design.granule_lanes as usize],
            Some(Some(q)) => bench.codes(
                d.get(Field::InBase),
                d.get(Field::InPitch),
                d.get(Field::Groups),
                *q,
            ),
        };
        for (lane, code) in codes.iter().enumerate() {
            let at = slice * design.granule_lanes as usize + lane;
            for plane in 0..planes {
                let bit = code >> (group as usize * planes + plane) & 1;
                word[plane * words + at / 64] |= bit << (at % 64);
            }
        }
    }
    word
}

/// Runs a COMPUTE, reads every word of every tile at random times, and checks it.
fn compute(bench: &mut Bench, layer: &Layer, rng: &mut ChaCha8Rng) {
    bench.load(&layer.descriptor);
    bench.edge(&PatchInputs {
        go_compute: true,
        ..PatchInputs::default()
    });
    let d = layer.descriptor;
    let rows = i64::from(bench.design.design().config().rows);
    let words = d.get(Field::Chunks) * d.get(Field::Groups);
    let word_words = bench.model.outputs().activation.len() / rows as usize;
    let slow = rng.random_range(0..3) == 0;
    for tile in 0..d.get(Field::RowTiles) {
        let half = (tile % 2) as usize;
        let mut waited = 0;
        while !bench.model.outputs().patch_full[half] || (slow && rng.random_range(0..50) > 0) {
            random_edge(bench, None, [false; 2], rng);
            waited += 1;
            assert!(waited < PATIENCE, "tile {tile} is never full");
        }
        let valid = if tile + 1 == d.get(Field::RowTiles) {
            d.get(Field::LastRows)
        } else {
            rows
        };
        for address in 0..words {
            let half_words = bench.design.patch_half_words();
            let at = half as u32 * half_words + address as u32;
            random_edge(bench, Some(at), [false; 2], rng);
            for row in 0..valid {
                let expected = expected_word(bench, tile * rows + row, address);
                let from = row as usize * word_words;
                let outputs = bench.model.outputs();
                let found = &outputs.activation[from..from + word_words];
                assert_eq!(found, expected, "tile {tile}, row {row}, word {address}");
            }
        }
        let mut released = [false; 2];
        released[half] = true;
        random_edge(bench, None, released, rng);
    }
    for _ in 0..5 {
        bench.edge(&PatchInputs::default());
    }
    assert_eq!(bench.model.outputs().patch_full, [false; 2]);
}

/// A cycle in which the back end may write past the input.
fn random_edge(bench: &mut Bench, read: Option<u32>, released: [bool; 2], rng: &mut ChaCha8Rng) {
    let design = bench.design.clone();
    let first = bench.descriptor.get(Field::InLast) as u32 + 1;
    let words = design.config().activation_words;
    let planes = design.design().config().activation_branches;
    let value = planes_of(planes, design.granule_lanes, rng);
    let back = (first < words && rng.random_range(0..4) == 0).then(|| {
        let slice = rng.random_range(0..design.slices);
        (1 << slice, rng.random_range(first..words), &value[..])
    });
    bench.edge(&PatchInputs {
        back,
        patch_read: read,
        patch_release: released,
        ..PatchInputs::default()
    });
}

/// Runs a POOL and checks what it writes.
fn pool(bench: &mut Bench, layer: &Layer) {
    bench.load(&layer.descriptor);
    let d = layer.descriptor;
    let g = |field| d.get(field);
    let run = g(Field::RunGranules);
    let lanes = bench.design.granule_lanes as usize;
    let mut expected = Vec::new();
    for pixel in 0..layer.pixels {
        let all = taps(&d, pixel);
        for i in 0..run {
            let mut best = vec![0; lanes];
            for tap in all.iter().skip(i as usize).step_by(run as usize) {
                let Some(q) = tap else { continue };
                let codes = bench.codes(g(Field::InBase), g(Field::InPitch), g(Field::Groups), *q);
                for (best, code) in best.iter_mut().zip(codes) {
                    *best = code.max(*best);
                }
            }
            let q = g(Field::OutGranule) + pixel * g(Field::OutPixel) + i;
            expected.push((q, best));
        }
    }
    bench.edge(&PatchInputs {
        go_pool: true,
        ..PatchInputs::default()
    });
    let mut waited = 0;
    while !bench.model.outputs().pool_finished {
        bench.edge(&PatchInputs::default());
        waited += 1;
        assert!(waited < PATIENCE, "the max-pool never ends");
    }
    bench.edge(&PatchInputs::default());
    for (q, codes) in expected {
        let found = bench.codes(g(Field::OutBase), g(Field::OutPitch), g(Field::Groups), q);
        assert_eq!(found, codes, "granule {q}");
    }
}

/// Runs a descriptor that an error ends; the flush follows two cycles later.
fn fails(bench: &mut Bench, layer: &Layer, code: u8) {
    bench.load(&layer.descriptor);
    let pool = layer.descriptor.get(Field::Opcode) == Opcode::Pool as i64;
    bench.edge(&PatchInputs {
        go_compute: !pool,
        go_pool: pool,
        ..PatchInputs::default()
    });
    let mut waited = 0;
    while bench.model.outputs().error == 0 {
        let full = bench.model.outputs().patch_full;
        bench.edge(&PatchInputs {
            patch_release: full,
            ..PatchInputs::default()
        });
        waited += 1;
        assert!(waited < PATIENCE, "no error comes");
    }
    assert_eq!(bench.model.outputs().error, code);
    bench.edge(&PatchInputs::default());
    for _ in 0..3 {
        bench.edge(&PatchInputs {
            reset: true,
            ..PatchInputs::default()
        });
    }
    assert_eq!(bench.model.outputs().error, 0);
}

fn errors(bench: &mut Bench, rng: &mut ChaCha8Rng) {
    let design = bench.design.clone();
    let half = i64::from(design.patch_half_words());
    for pools in [false, true] {
        // A layer without padding reads all of its input.
        let (layer, last) = loop {
            let layer = random_layer(&design, pools, rng);
            let inside = (0..layer.pixels)
                .flat_map(|p| taps(&layer.descriptor, p))
                .flatten();
            let d = &layer.descriptor;
            if let Some(granule) = inside.max() {
                let groups = d.get(Field::Groups) - 1;
                let last = d.get(Field::InBase)
                    + groups * d.get(Field::InPitch)
                    + granule / i64::from(design.slices);
                break (layer, last);
            }
        };
        let mut short = layer.descriptor;
        if last > 0 {
            assert!(short.set(&design, Field::InLast, last - 1));
            let layer = Layer {
                descriptor: short,
                ..layer
            };
            fails(bench, &layer, 5);
        }
    }
    let mut layer = random_layer(&design, false, rng);
    while layer.descriptor.get(Field::Groups) < 2 && design.design().activation_groups > 1 {
        layer = random_layer(&design, false, rng);
    }
    if layer.descriptor.get(Field::Groups) > 1 {
        assert!(layer.descriptor.set(&design, Field::Chunks, half));
        fails(bench, &layer, 8);
    }
    let mut layer = random_layer(&design, true, rng);
    let base = layer.descriptor.get(Field::OutBase);
    assert!(layer.descriptor.set(&design, Field::OutLast, base - 1));
    fails(bench, &layer, 6);
}

fn run(config: &ArrayConfig, seed: u64, layers: u32) {
    run_on(config, seed, layers, |design| Rtl::Verilated(start(design)));
}

fn run_on(
    config: &ArrayConfig,
    seed: u64,
    layers: u32,
    rtl: impl FnOnce(&AcceleratorDesign) -> Rtl,
) {
    println!("seed {seed}, configuration {}", config.command_flags());
    let design = design(config);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bench = Bench::new(&design, rtl(&design));
    bench.fill(&mut rng);
    bench.fill_patches(&mut rng);
    bench.has_read = true;
    for index in 0..layers {
        if index % 3 == 2 {
            let layer = random_layer(&design, true, &mut rng);
            pool(&mut bench, &layer);
        } else {
            let layer = random_layer(&design, false, &mut rng);
            compute(&mut bench, &layer, &mut rng);
        }
        if index % 8 == 5 {
            errors(&mut bench, &mut rng);
        }
    }
    println!("{} cycles", bench.cycle);
}

#[test]
fn tiny() {
    run(&ArrayConfig::preset("tiny").unwrap(), 1, 24);
}

#[test]
fn small() {
    run(&ArrayConfig::preset("small").unwrap(), 2, 12);
}

#[test]
fn default_preset() {
    run(&ArrayConfig::preset("default").unwrap(), 3, 6);
}

#[test]
fn many_slices() {
    run(&config(4, 2, 96, 3, 1, 1), 3, 16);
}

#[test]
fn slices_of_odd_lanes() {
    run(&config(3, 3, 20, 4, 1, 1), 4, 16);
}

#[test]
fn branches_in_parallel() {
    run(&config(4, 4, 64, 4, 2, 1), 5, 16);
    run(&config(2, 3, 14, 5, 3, 1), 6, 16);
}

#[test]
fn load_ports() {
    run(&config(4, 4, 32, 2, 1, 2), 7, 16);
    run(&config(6, 2, 16, 3, 2, 3), 8, 16);
    run(&config(4, 4, 16, 1, 1, 4), 9, 16);
}

#[test]
fn single_row_column_lane() {
    run(&config(1, 1, 1, 1, 1, 1), 10, 16);
}

/// What RustHDL simulates is what is emitted: leaves have two descriptions.
#[test]
fn kernels() {
    for (seed, config) in [
        (20, config(2, 3, 5, 2, 1, 1)),
        (21, config(2, 2, 16, 3, 2, 2)),
    ] {
        let mut config = config;
        config.accelerator.activation_words = 64;
        config.accelerator.patch_words = 32;
        run_on(&config, seed, 3, |design| {
            let mut top = PatchSystem::new(design);
            top.connect_all();
            Rtl::Kernels(Box::new(top))
        });
    }
}

/// The recurrence of the documentation against the model, which the other tests hold to the RTL.
#[test]
fn load_cycles() {
    for (seed, config) in [
        (1, ArrayConfig::preset("tiny").unwrap()),
        (2, ArrayConfig::preset("small").unwrap()),
        (3, config(4, 2, 96, 3, 1, 1)),
        (4, config(4, 4, 32, 8, 1, 2)),
        (5, config(6, 2, 16, 3, 2, 3)),
        (6, config(4, 4, 16, 2, 1, 4)),
    ] {
        println!("seed {seed}, configuration {}", config.command_flags());
        let design = design(&config);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..40 {
            let layer = random_layer(&design, false, &mut rng);
            let delay = *[0, 0, 3, 200].get(rng.random_range(0..4)).unwrap();
            let expected = full_cycles(&design, &layer.descriptor, |_, full| full + delay);
            assert_eq!(
                model_full_cycles(&design, &layer.descriptor, delay),
                expected
            );
            let layer = random_layer(&design, true, &mut rng);
            let expected = pool_cycles(&design, &layer.descriptor);
            assert_eq!(model_pool_cycles(&design, &layer.descriptor), expected);
        }
    }
}

/// Steps the model; each tile is released `delay` cycles after it is full, the tiles one after the other.
fn model_full_cycles(design: &AcceleratorDesign, descriptor: &Descriptor, delay: u64) -> Vec<u64> {
    let (mut model, fields) = (PatchSystemModel::new(design), PatchFields::new(descriptor));
    let mut full = Vec::new();
    let mut cycle = 0;
    let tiles = descriptor.get(Field::RowTiles) as usize;
    let mut freed = 0;
    while freed < tiles {
        let flags = model.outputs().patch_full;
        if full.len() < tiles && full.len() < freed + 2 && flags[full.len() % 2] {
            full.push(cycle);
        }
        let mut patch_release = [false; 2];
        if full.get(freed).is_some_and(|full| full + delay == cycle) {
            patch_release[freed % 2] = true;
            freed += 1;
        }
        let inputs = PatchInputs {
            go_compute: cycle == 0,
            patch_release,
            ..PatchInputs::default()
        };
        model.edge(&inputs, &fields);
        cycle += 1;
        assert_eq!(model.outputs().error, 0);
        assert!(cycle < 100 * u64::from(PATIENCE));
    }
    full
}

fn model_pool_cycles(design: &AcceleratorDesign, descriptor: &Descriptor) -> u64 {
    let (mut model, fields) = (PatchSystemModel::new(design), PatchFields::new(descriptor));
    let mut cycle = 0;
    while !model.outputs().pool_finished {
        let inputs = PatchInputs {
            go_pool: cycle == 0,
            ..PatchInputs::default()
        };
        model.edge(&inputs, &fields);
        cycle += 1;
        assert!(cycle < 100 * u64::from(PATIENCE));
    }
    cycle
}
