//! Whether a network fits a design, and what to make larger where it does not: what the compiler checks, from sizes alone.

use super::mapping::{Mapping, MappingKey, Needs};
use super::{ForecastError, Forecaster, Memo};
use crate::program::compile::check_memory;
use crate::program::placement::{Extent, arrange};
use crate::program::{ProgramError, program_words};
use xnorforge_hdl::accelerator::config::WORDS_MAX;
use xnorforge_hdl::config::{BITS_MAX, REDUCTION_MAX};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};

/// Most images of a run.
const IMAGES_MAX: u32 = 65_535;

/// Where weights stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weights {
    /// In the weight memories, from the beginning on; else they stream in each run.
    pub is_resident: bool,
}

/// A memory or a width that the network needs.
struct Need {
    what: &'static str,
    memory: &'static str,
    field: &'static str,
    words: u64,
    set: fn(&mut ArrayConfig) -> &mut u32,
}

impl Forecaster {
    /// Checks what the compiler checks.
    pub(super) fn check(
        &self,
        memo: &mut Memo,
        mapping: &Mapping,
        design: &AcceleratorDesign,
        images: u32,
    ) -> Result<Weights, ProgramError> {
        if !(1..=IMAGES_MAX).contains(&images) {
            return Err(ProgramError::Images(images));
        }
        let config = design.design().config();
        check_bits(&self.name, &mapping.needs, config)?;
        let weights = weights(mapping, design);
        let mut config = config.clone();
        for need in self.memories(memo, mapping, design, images, weights) {
            let available = *(need.set)(&mut config);
            let what = || format!("{} of `{}`", need.what, self.name);
            check_memory(what, need.memory, need.field, need.words, available)?;
        }
        self.check_fields(mapping, design, weights)?;
        Ok(weights)
    }

    /// Makes what is too small as large as one image needs; whether something was.
    pub(super) fn grow(
        &self,
        memo: &mut Memo,
        mapping: &Mapping,
        design: &AcceleratorDesign,
        config: &mut ArrayConfig,
    ) -> Result<bool, ForecastError> {
        let before = config.clone();
        let needs = &mapping.needs;
        for (needed, bits) in [
            (needs.activation_bits, &mut config.activation_bits),
            (needs.weight_bits, &mut config.weight_bits),
            (needs.threshold_bits, &mut config.accelerator.threshold_bits),
        ] {
            if needed <= BITS_MAX {
                *bits = needed.max(*bits);
            }
        }
        let chunks = config.reduction_max.div_ceil(config.lanes);
        let elements = needs.chunks * u64::from(config.lanes);
        if needs.chunks > u64::from(chunks) && elements <= u64::from(REDUCTION_MAX) {
            config.reduction_max = elements as u32;
        }
        for need in self.memories(memo, mapping, design, 1, weights(mapping, design)) {
            let words = need.words.next_power_of_two();
            let field = (need.set)(config);
            if need.words > u64::from(*field) && words <= u64::from(WORDS_MAX) {
                *field = words as u32;
                if need.field == "activation_words" {
                    // With more of it, feature maps may lie otherwise, and need less of the residual memory.
                    return Ok(true);
                }
            }
        }
        if *config != before {
            return Ok(true);
        }
        self.check(memo, mapping, design, 1)?;
        Ok(false)
    }

    /// Every memory with what is needed of it.
    fn memories(
        &self,
        memo: &mut Memo,
        mapping: &Mapping,
        design: &AcceleratorDesign,
        images: u32,
        weights: Weights,
    ) -> [Need; 11] {
        let needs = &mapping.needs;
        let [activation, residual] = memo.extent(mapping, design, images);
        let need = |what, memory, field, words, set| Need {
            what,
            memory,
            field,
            words,
            set,
        };
        let tile_words = if weights.is_resident {
            0
        } else {
            2 * needs.tile_words
        };
        let descriptors = descriptors(mapping, design, weights);
        [
            need(
                "the layers",
                "performance counters",
                "layers",
                needs.layers,
                |c| &mut c.accelerator.layers,
            ),
            need(
                "the feature maps",
                "activation memory",
                "activation_words",
                activation,
                |c| &mut c.accelerator.activation_words,
            ),
            need(
                "the feature maps",
                "residual memory",
                "residual_words",
                residual,
                |c| &mut c.accelerator.residual_words,
            ),
            need(
                "the largest reduction, both halves,",
                "patch buffer of a row",
                "patch_words",
                needs.patch_words,
                |c| &mut c.accelerator.patch_words,
            ),
            need(
                "the schedules",
                "schedule memory",
                "schedule_words",
                needs.schedule_words,
                |c| &mut c.accelerator.schedule_words,
            ),
            need(
                "the column constants",
                "constant memory",
                "constant_words",
                needs.constant_words,
                |c| &mut c.accelerator.constant_words,
            ),
            need(
                "the thresholds",
                "threshold memory",
                "channel_words",
                needs.threshold_words,
                |c| &mut c.accelerator.channel_words,
            ),
            need(
                "the affine parameters",
                "affine memory",
                "channel_words",
                needs.affine_words,
                |c| &mut c.accelerator.channel_words,
            ),
            need(
                "the residual tables",
                "table memory",
                "table_words",
                needs.table_words,
                |c| &mut c.accelerator.table_words,
            ),
            need(
                "a column tile, double buffered,",
                "weight memory of a column",
                "weight_words",
                tile_words,
                |c| &mut c.accelerator.weight_words,
            ),
            need(
                "the program",
                "program memory",
                "program_words",
                program_words(descriptors as usize),
                |c| &mut c.accelerator.program_words,
            ),
        ]
    }

    /// Fields of descriptors that are as wide as a memory's address, or of constant width.
    fn check_fields(
        &self,
        mapping: &Mapping,
        design: &AcceleratorDesign,
        weights: Weights,
    ) -> Result<(), ProgramError> {
        let needs = &mapping.needs;
        let rows = u64::from(design.design().config().rows);
        let output = design.output_address_width.min(32);
        let granule = design.granule_address_width.min(32);
        let tile = if weights.is_resident {
            needs.tile_words
        } else {
            0
        };
        for (field, value, bits) in [
            ("row_tiles", needs.pixels.div_ceil(rows) as i64, granule),
            ("image_pitch", needs.granule, granule),
            // Two's complement.
            (
                "origin_line",
                2 * needs.granule_signed.max(1) - 1,
                (granule + 1).min(32),
            ),
            (
                "in_pitch",
                needs.in_pitch as i64,
                design.activation_address_width,
            ),
            ("out_pitch", needs.out_pitch as i64, output),
            (
                "residual_pitch",
                needs.residual_pitch as i64,
                design.residual_address_width.min(24),
            ),
            ("weight_tile", tile as i64, design.weight_address_width),
        ] {
            if value >= 1i64 << bits {
                return Err(self.field_error(format!("`{}`", self.name), field, value, bits));
            }
        }
        match &needs.misfit {
            Some((layer, field, value, bits)) => {
                Err(self.field_error(format!("layer `{layer}`"), field, *value, *bits))
            }
            None => Ok(()),
        }
    }

    fn field_error(
        &self,
        what: String,
        field: &'static str,
        value: i64,
        bits: u32,
    ) -> ProgramError {
        let fix = match field {
            "pad_code" | "code_max" => {
                "choose `activation_branches` so that it divides the bits of the numbers"
            }
            "in_height" | "out_width" | "out_height" => "choose a smaller feature map",
            "run_granules" | "runs" | "kernel_lines" => "choose a smaller kernel",
            "column_tiles" => "raise `columns`",
            "weight_tile" => "raise `accelerator.weight_words`",
            "residual_pitch" => "raise `accelerator.residual_words`",
            _ => "raise `accelerator.activation_words`, or run fewer images at a time",
        };
        ProgramError::Field {
            what,
            field,
            value,
            bits,
            fix,
        }
    }
}

impl Memo {
    /// Words of the activation and the residual memory that the feature maps take.
    fn extent(&mut self, mapping: &Mapping, design: &AcceleratorDesign, images: u32) -> [u64; 2] {
        let c = design.config();
        let sizes = [c.activation_words, c.residual_words];
        let key = (MappingKey::new(design, images), sizes);
        if self.sizes.len() >= super::MAPPINGS_MAX {
            self.sizes.clear();
        }
        *self.sizes.entry(key).or_insert_with(|| {
            let available = Extent {
                activation: sizes[0].into(),
                residual: sizes[1].into(),
            };
            let (_, extent) = arrange(&mapping.spaces, available);
            [extent.activation, extent.residual]
        })
    }
}

fn weights(mapping: &Mapping, design: &AcceleratorDesign) -> Weights {
    Weights {
        is_resident: mapping.needs.weight_words <= u64::from(design.config().weight_words),
    }
}

fn check_bits(name: &str, needs: &Needs, config: &ArrayConfig) -> Result<(), ProgramError> {
    for (operand, field, bits, limit) in [
        (
            "activations",
            "activation_bits",
            needs.activation_bits,
            config.activation_bits,
        ),
        (
            "weights",
            "weight_bits",
            needs.weight_bits,
            config.weight_bits,
        ),
    ] {
        if bits > limit {
            return Err(ProgramError::Bits {
                layer: name.to_owned(),
                operand,
                bits,
                field,
                limit,
            });
        }
    }
    if let Some((layer, bits, of)) = &needs.planes {
        return Err(ProgramError::Planes {
            layer: layer.clone(),
            bits: *bits,
            of: *of,
            left: of - bits,
            branches: config.activation_branches,
        });
    }
    let limit = config.reduction_max;
    if needs.chunks > u64::from(limit.div_ceil(config.lanes)) {
        return Err(ProgramError::Reduction {
            layer: name.to_owned(),
            elements: needs.chunks * u64::from(config.lanes),
            limit,
        });
    }
    let limit = config.accelerator.threshold_bits;
    if needs.threshold_bits > limit {
        return Err(ProgramError::Levels {
            layer: name.to_owned(),
            thresholds: (1 << needs.threshold_bits) - 1,
            levels: needs.threshold_bits,
            limit,
        });
    }
    Ok(())
}

/// Descriptors of all entries.
fn descriptors(mapping: &Mapping, design: &AcceleratorDesign, weights: Weights) -> u64 {
    use super::mapping::MappedWork;
    let half = u64::from(design.config().weight_words / 2);
    let of_stages = mapping.stages.iter().map(|stage| match &stage.work {
        MappedWork::Pool { descriptors, .. } => *descriptors,
        MappedWork::Product(product) => {
            let of_parts = product.parts.iter().map(|part| match weights.is_resident {
                true => part.count,
                // A WEIGHTS and a COMPUTE for each block.
                false => {
                    let step = (half / part.tile_words).max(1);
                    2 * part.count * part.tiles.div_ceil(step)
                }
            });
            of_parts.sum()
        }
    });
    // INPUT and END, and where weights are resident WEIGHTS and END.
    let others = if weights.is_resident { 4 } else { 2 };
    of_stages.sum::<u64>() + others
}
