//! Pools and padding.

use super::Lowering;
use super::chain::{Lattice, Step, gcd};
use super::error::{Found, refuse, require};
use super::number::{Numbers, exact, whole, zip};
use super::product::{expect_images, images_layout, swept, widened, window};
use super::value::{Border, Chain, Codes, Feature, Pool, Product, Source, distance};
use crate::graph::{Node, Sweep};
use num_traits::{Signed, Zero};
use xnorforge_sim::network::{
    Layer, Operation, Output, Padding, Read, TensorId, WINDOW_MAX, Window,
};

impl Lowering<'_> {
    /// A max-pool on codes, or one that waits for the quantizer behind it.
    pub(super) fn max_pool(&mut self, index: usize, node: &Node, sweep: &Sweep) -> Found<Feature> {
        let mut feature = self.feature(node, 0)?;
        let rank = expect_images(&feature, 3)?;
        let window = widened(window(sweep), feature.border.as_ref());
        let shape = swept(&window, feature.shape, feature.shape.channels)?;
        if let Source::Chain(chain) = &mut feature.source
            && feature.grid.is_none()
            && feature.border.is_none()
        {
            require(
                !chain.has_residual(),
                "x",
                || "a sum without a quantizer comes to it".to_owned(),
                "quantize the sum",
            )?;
            chain.pools.push(Pool {
                window,
                at: chain.steps.len(),
                node: index,
            });
            (feature.shape, feature.layout) = (shape, images_layout(rank, shape)?);
            return Ok(feature);
        }
        let (feature, codes) = self.as_codes(index, node, 0, feature)?;
        let Some(grid) = feature.grid.clone() else {
            return self.border_refused(&feature);
        };
        require(
            grid.scale.iter().all(Signed::is_positive),
            "x",
            || {
                "the scale of its input is negative, and the largest number is not the largest code"
                    .to_owned()
            },
            "move the negation behind the pool",
        )?;
        if let Some(border) = &feature.border {
            let is_least = |c: usize| border.value <= grid.real(c, grid.low);
            require(
                (0..grid.channels()).all(is_least),
                "x",
                || {
                    format!(
                        "`{}` pads with a number that can be the largest",
                        self.graph.nodes[border.node].name
                    )
                },
                "pad with the least number of the quantizer",
            )?;
        }
        let tensor = self.pooled(index, codes.tensor, window)?;
        Ok(Feature {
            shape,
            layout: images_layout(rank, shape)?,
            source: Source::Codes(super::value::Codes { tensor, ..codes }),
            grid: Some(grid),
            border: None,
        })
    }

    /// Adds a max-pool's layer.
    pub(super) fn pooled(
        &mut self,
        node: usize,
        input: TensorId,
        window: Window,
    ) -> Found<TensorId> {
        let (from, scale) = match input {
            TensorId::Layer(layer) => {
                let made = &self.made[layer];
                (made.shape, made.scale.clone())
            }
            TensorId::Input => match &self.input {
                Some((rule, _)) => (rule.shape, vec![rule.scale()]),
                None => return refuse("x", "it is not quantized", "quantize it"),
            },
        };
        let shape = swept(&window, from, from.channels)?;
        let layer = Layer {
            name: self.graph.nodes[node].name.clone(),
            input: Read::from(input),
            operation: Operation::MaxPool(window),
            residual: None,
            output: Output::Raw,
        };
        self.push(node, layer, shape, scale)
    }

    /// An average as the sum of a window; the divisor goes into the scale.
    pub(super) fn average_pool(
        &mut self,
        index: usize,
        node: &Node,
        sweep: &Sweep,
        count_include_pad: bool,
    ) -> Found<Feature> {
        let (feature, codes) = self.codes(index, node, 0)?;
        require(
            count_include_pad || sweep.pads == [0; 4],
            "count_include_pad",
            || "windows at the border divide by fewer numbers".to_owned(),
            "set count_include_pad to 1, or pad with 0",
        )?;
        require(
            feature.border.is_none() || sweep.pads == [0; 4] || count_include_pad,
            "pads",
            || "both the pool and the Pad in front of it pad".to_owned(),
            "pad once",
        )?;
        self.averaged(index, &feature, codes, window(sweep))
    }

    pub(super) fn global_average_pool(&mut self, index: usize, node: &Node) -> Found<Feature> {
        let (feature, codes) = self.codes(index, node, 0)?;
        if feature.border.is_some() {
            return self.border_refused(&feature);
        }
        self.averaged(index, &feature, codes, Window::whole(feature.shape))
    }

    fn averaged(
        &mut self,
        index: usize,
        feature: &Feature,
        codes: Codes,
        window: Window,
    ) -> Found<Feature> {
        let rank = expect_images(feature, 3)?;
        let Some(grid) = feature.grid.clone() else {
            return self.border_refused(feature);
        };
        let window = widened(window, feature.border.as_ref());
        let is_padded = window.padding != Padding::default();
        let is_zero = feature.border.as_ref().is_none_or(|b| b.value.is_zero());
        require(
            !is_padded || (is_zero && grid.offset.iter().all(Zero::is_zero)),
            "pads",
            || "padding is a number other than 0 of the input".to_owned(),
            "pad with 0, and quantize with a zero point of 0",
        )?;
        let shape = swept(&window, feature.shape, feature.shape.channels)?;
        let count = i64::from(window.kernel.0) * i64::from(window.kernel.1);
        // The mean is scale * (sum / count + offset).
        let unit = grid.scale.iter().map(|s| s / whole(count)).collect();
        let mut steps = vec![Step::Multiply(Numbers::of_rationals(unit))];
        if !grid.offset.iter().all(Zero::is_zero) {
            let offset = zip(&grid.scale, &grid.offset, |s, o| s * o);
            steps.push(Step::Add(Numbers::of_rationals(offset)));
        }
        let step = distance(codes.precision);
        let lattice = if is_padded {
            let (low, high) = ((grid.low * count).min(0), (grid.high * count).max(0));
            Lattice::new(low, high, gcd(step, grid.low))
        } else {
            Lattice::new(grid.low * count, grid.high * count, step)
        };
        let product = Product {
            node: index,
            input: codes.tensor,
            operation: Operation::SumPool(window),
            shape,
            identity: None,
        };
        let lattices = vec![lattice; shape.channels as usize];
        Ok(Feature {
            shape,
            layout: images_layout(rank, shape)?,
            source: Source::Chain(Box::new(Chain::new(product, lattices, steps))),
            grid: None,
            border: None,
        })
    }

    /// Padding that the next layer takes in.
    pub(super) fn pad(
        &mut self,
        index: usize,
        node: &Node,
        pads: &[(usize, usize)],
        value: f32,
    ) -> Found<Feature> {
        let mut feature = self.feature(node, 0)?;
        let rank = feature.layout.0.len();
        if pads.iter().all(|p| *p == (0, 0)) {
            return Ok(feature);
        }
        expect_images(&feature, 3)?;
        let is_spatial = pads.len() == rank && pads[..2] == [(0, 0); 2];
        let most = pads.iter().map(|p| p.0.max(p.1)).max().unwrap_or(0);
        require(
            is_spatial && most <= WINDOW_MAX as usize,
            "pads",
            || format!("{pads:?} pad more than height and width, or by more than {WINDOW_MAX}"),
            "pad height and width alone",
        )?;
        require(
            feature.border.is_none(),
            "pads",
            || "two Pads follow each other".to_owned(),
            "pad once",
        )?;
        let Some(value) = exact(value) else {
            return refuse(
                "value",
                format!("{value} is not finite"),
                "pad with a finite number",
            );
        };
        let is_real = matches!(feature.source, Source::Input(..));
        if feature.grid.is_some() && !is_real {
            (feature, _) = self.as_codes(index, node, 0, feature)?;
        }
        require(
            feature.grid.is_some() || is_real,
            "x",
            || "accumulators are padded".to_owned(),
            "quantize them first, or pad in the next layer",
        )?;
        let [y, x] = match rank {
            3 => [(0, 0), pads[2]],
            _ => [pads[2], pads[3]],
        };
        feature.border = Some(Border {
            pads: [y.0, x.0, y.1, x.1].map(|n| n as u32),
            value,
            node: index,
        });
        Ok(feature)
    }
}
