//! The graph while it is built, and one node of the file with what is known about its inputs.

use super::attributes::Attributes;
use super::element::Element;
use super::error::{Fault, Name};
use super::proto::{NodeProto, TensorProto};
use super::tensor::{self, Budget};
use crate::graph::{Array, Graph, Node, Op, RANK_MAX};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A graph that is being built.
pub(super) struct Builder<'a> {
    pub graph: Graph,
    /// Initializers that no node has asked for yet.
    pub initializers: HashMap<&'a str, &'a TensorProto>,
    /// Dimensions that the file declares; open ones are missing.
    pub declared: HashMap<&'a str, Vec<Option<usize>>>,
    /// Tensors that a node reads, and outputs.
    pub read: HashSet<&'a str>,
    /// All names of tensors in the file, and those made here.
    pub tensor_names: HashSet<String>,
    pub node_names: HashSet<String>,
    pub elements: HashMap<String, Element>,
    /// By name; kept, because nodes share constants.
    pub summaries: RefCell<HashMap<String, Summary>>,
    pub folder: Option<&'a Path>,
    pub stored: Budget,
    pub folded: Budget,
}

/// What the checks of a constant ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summary {
    pub is_finite: bool,
    pub min: f64,
    pub max: f64,
    pub has_zero: bool,
}

impl<'a> Builder<'a> {
    /// Reads the initializer of a name, if it is one that was not read yet.
    pub fn load(&mut self, name: &str) -> Result<(), Fault> {
        let Some((name, proto)) = self.initializers.remove_entry(name) else {
            return Ok(());
        };
        let read = tensor::read(proto, self.folder, &mut self.stored);
        let (element, array) = read.map_err(|fault| {
            let field = format!("{}, {}", tensor::title(name), fault.field);
            Fault { field, ..fault }
        })?;
        self.set_constant(name, array, element)
    }

    /// Adds a constant.
    pub fn set_constant(
        &mut self,
        name: &str,
        array: Array,
        element: Element,
    ) -> Result<(), Fault> {
        self.set_shape(name, array.shape().to_vec(), element)?;
        self.graph.constants.insert(name.to_owned(), array);
        Ok(())
    }

    /// Notes dimensions and type of a tensor, and compares them with those that the file declares.
    pub fn set_shape(
        &mut self,
        name: &str,
        shape: Vec<usize>,
        element: Element,
    ) -> Result<(), Fault> {
        if let Some(declared) = self.declared.get(name) {
            let same =
                |(declared, &dim): (&Option<usize>, &usize)| declared.is_none_or(|d| d == dim);
            if declared.len() != shape.len() || !declared.iter().zip(&shape).all(same) {
                let problem = format!("{shape:?}, but the file declares {}", open(declared));
                let field = format!("dimensions of `{}`", Name::new(name));
                let fix = "correct the declaration, or drop it (value_info) and export again";
                return Err(Fault::new(field, problem, fix));
            }
        }
        self.elements.insert(name.to_owned(), element);
        self.graph.shapes.insert(name.to_owned(), shape);
        Ok(())
    }

    /// What is known about the numbers of a constant.
    pub fn summary(&self, name: &str, array: &Array) -> Summary {
        let mut summaries = self.summaries.borrow_mut();
        *summaries
            .entry(name.to_owned())
            .or_insert_with(|| Summary::of(array))
    }
}

impl Summary {
    fn of(array: &Array) -> Summary {
        let mut summary = Summary {
            is_finite: true,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            has_zero: false,
        };
        super::numbers::for_each(array, |number| {
            summary.is_finite &= number.is_finite();
            summary.min = summary.min.min(number);
            summary.max = summary.max.max(number);
            summary.has_zero |= number == 0.0;
        });
        summary
    }
}

/// Dimensions with `?` for open ones.
fn open(shape: &[Option<usize>]) -> String {
    let dims: Vec<String> = shape
        .iter()
        .map(|dim| dim.map_or("?".to_owned(), |dim| dim.to_string()))
        .collect();
    format!("[{}]", dims.join(", "))
}

/// A name that is not taken yet, and is then.
pub(super) fn fresh(taken: &mut HashSet<String>, base: &str) -> String {
    let mut name = base.to_owned();
    // No suffix below that number is likelier to be free, and one above it always is; so many equal names take no
    // longer.
    let mut suffix = taken.len();
    while !taken.insert(name.clone()) {
        name = format!("{base}_{suffix}");
        suffix += 1;
    }
    name
}

/// A node of the file.
pub(super) struct Call<'b, 'a> {
    pub builder: &'b mut Builder<'a>,
    pub node: &'a NodeProto,
    pub name: String,
    pub attributes: Attributes<'a>,
}

impl<'b, 'a> Call<'b, 'a> {
    pub fn operator(&self) -> &'a str {
        self.node.op_type.as_deref().unwrap_or_default()
    }

    /// Input `index`, if it is given.
    pub fn input(&self, index: usize) -> Option<&'a str> {
        self.node
            .input
            .get(index)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// Input `index`, which must be given.
    pub fn needed(&self, index: usize, what: &str) -> Result<&'a str, Fault> {
        self.input(index).ok_or_else(|| {
            Fault::new(
                format!("input {index} ({what})"),
                "it is missing",
                "export the model again",
            )
        })
    }

    /// An error about input `index`.
    pub fn wrong(
        &self,
        index: usize,
        what: &str,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Fault {
        let name = Name::new(self.input(index).unwrap_or_default());
        Fault::new(format!("input {index} `{name}` ({what})"), problem, fix)
    }

    /// The numbers of inputs that the operator may have.
    pub fn arity(&self, max: usize) -> Result<(), Fault> {
        match self.node.input.len() {
            found if found <= max => Ok(()),
            found => {
                let problem = format!("{found} of them, but the operator has {max} at most");
                Err(Fault::new("inputs", problem, "export the model again"))
            }
        }
    }

    pub fn shape(&self, tensor: &str) -> Vec<usize> {
        // Nodes come after those whose outputs they read, so every tensor has a shape by now.
        self.builder
            .graph
            .shapes
            .get(tensor)
            .cloned()
            .unwrap_or_default()
    }

    pub fn element(&self, tensor: &str) -> Element {
        self.builder
            .elements
            .get(tensor)
            .copied()
            .unwrap_or(Element::F32)
    }

    /// The constant of a name, if it is one.
    pub fn constant(&self, tensor: &str) -> Option<Array> {
        self.builder.graph.constants.get(tensor).cloned()
    }

    /// Input `index` as a constant, if it is given.
    pub fn fixed(&self, index: usize, what: &str) -> Result<Option<Array>, Fault> {
        let Some(name) = self.input(index) else {
            return Ok(None);
        };
        self.constant(name).map(Some).ok_or_else(|| {
            let problem = "it is computed from other tensors, but has to be a constant";
            self.wrong(
                index,
                what,
                problem,
                "export the model with constants folded (onnxsim)",
            )
        })
    }

    /// Input `index` as integers, if it is given.
    pub fn integers(&self, index: usize, what: &str) -> Result<Option<Vec<i64>>, Fault> {
        let Some(array) = self.fixed(index, what)? else {
            return Ok(None);
        };
        // As many as any operator that reads them could use, and more: no list of dimensions or axes is longer.
        if array.len() > 4 * RANK_MAX {
            let problem = format!(
                "{} entries, more than any tensor has dimensions",
                array.len()
            );
            return Err(self.wrong(index, what, problem, "export the model again"));
        }
        match &array {
            Array::I64(array) => Ok(Some(array.iter().copied().collect())),
            Array::I32(array) => Ok(Some(array.iter().map(|&number| number.into()).collect())),
            _ => Err(self.wrong(
                index,
                what,
                "it is not of type int64",
                "export the model again",
            )),
        }
    }

    /// Input `index` as the one number that it holds, if it is given.
    pub fn scalar(&self, index: usize, what: &str) -> Result<Option<f64>, Fault> {
        let Some(array) = self.fixed(index, what)? else {
            return Ok(None);
        };
        if let Some(number) = super::numbers::only(&array) {
            return Ok(Some(number));
        }
        // All channels may have the same number.
        let summary = self.summary(index);
        let uniform = summary.filter(|summary| summary.is_finite && summary.min == summary.max);
        uniform.map(|summary| Some(summary.min)).ok_or_else(|| {
            let problem = format!(
                "it has dimensions {:?}, but one number is needed",
                array.shape()
            );
            self.wrong(index, what, problem, "use the same value for all channels")
        })
    }

    /// An error if input `index` is a constant that holds a number that is not finite.
    pub fn check_finite(&self, index: usize, what: &str) -> Result<(), Fault> {
        let Some(summary) = self.summary(index) else {
            return Ok(());
        };
        if summary.is_finite {
            return Ok(());
        }
        Err(self.first_wrong(index, what, "is not finite", |number| !number.is_finite()))
    }

    /// An error if input `index` is a constant that holds a number that is not finite, or not positive.
    pub fn check_positive(&self, index: usize, what: &str) -> Result<(), Fault> {
        self.check_finite(index, what)?;
        match self.summary(index) {
            // In 32 bits, in which scales are used.
            Some(summary) if summary.min as f32 <= 0.0 => {
                let is_wrong = |number: f64| number as f32 <= 0.0;
                Err(self.first_wrong(index, what, "is not positive", is_wrong))
            }
            _ => Ok(()),
        }
    }

    pub fn summary(&self, index: usize) -> Option<Summary> {
        let name = self.input(index)?;
        let array = self.constant(name)?;
        Some(self.builder.summary(name, &array))
    }

    /// An error that names the first number of a constant input that a test finds.
    pub fn first_wrong(
        &self,
        index: usize,
        what: &str,
        is: &str,
        test: impl Fn(f64) -> bool,
    ) -> Fault {
        let array = self.input(index).and_then(|name| self.constant(name));
        let mut found = None;
        let mut position = 0usize;
        if let Some(array) = &array {
            super::numbers::for_each(array, |number| {
                if found.is_none() && test(number) {
                    found = Some((position, number));
                }
                position += 1;
            });
        }
        let (position, number) = found.unwrap_or((0, f64::NAN));
        let problem = match array.map(|array| array.len()) {
            Some(0 | 1) | None => format!("{number} {is}"),
            Some(_) => format!("number {position} is {number}, which {is}"),
        };
        self.wrong(
            index,
            what,
            problem,
            "correct the value, or train and export the model again",
        )
    }

    /// The name of the node's output.
    pub fn output(&self) -> Result<&'a str, Fault> {
        let output = self
            .node
            .output
            .first()
            .map(String::as_str)
            .filter(|name| !name.is_empty());
        output.ok_or_else(|| Fault::new("output 0", "it is missing", "export the model again"))
    }

    /// Adds a node that gives the node's output, with the type of its first input.
    pub fn emit(&mut self, op: Op, inputs: &[&str], shape: Vec<usize>) -> Result<(), Fault> {
        let element = self.element(inputs[0]);
        let output = self.output()?;
        self.emit_as(op, inputs, output, shape, element)
    }

    /// Adds a node.
    pub fn emit_as(
        &mut self,
        op: Op,
        inputs: &[&str],
        output: &str,
        shape: Vec<usize>,
        element: Element,
    ) -> Result<(), Fault> {
        let name = self.name.clone();
        self.emit_named(&name, op, inputs, output, shape, element)
    }

    /// Adds a node under a name that does not have to be free.
    pub fn emit_named(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[&str],
        output: &str,
        shape: Vec<usize>,
        element: Element,
    ) -> Result<(), Fault> {
        check_activation(output, &shape)?;
        self.builder.set_shape(output, shape, element)?;
        let name = fresh(&mut self.builder.node_names, name);
        self.builder.graph.nodes.push(Node {
            name,
            op,
            inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: output.to_owned(),
        });
        Ok(())
    }

    /// A name for a tensor that the file does not have.
    pub fn fresh_tensor(&mut self, base: &str) -> String {
        fresh(&mut self.builder.tensor_names, base)
    }

    /// Adds a constant that the file does not have and gives its name.
    pub fn add_constant(
        &mut self,
        base: &str,
        array: Array,
        element: Element,
    ) -> Result<String, Fault> {
        let name = self.fresh_tensor(base);
        self.builder.set_constant(&name, array, element)?;
        Ok(name)
    }

    /// The tensor with other dimensions: a constant as a constant that shares its numbers, others by a node.
    pub fn reshaped(&mut self, tensor: &str, shape: Vec<usize>) -> Result<String, Fault> {
        let element = self.element(tensor);
        let base = format!("{tensor}/reshaped");
        if let Some(array) = self.constant(tensor) {
            let array = super::numbers::reshape(array, &shape)?;
            return self.add_constant(&base, array, element);
        }
        let name = self.fresh_tensor(&base);
        let op = Op::Reshape {
            shape: shape.clone(),
        };
        let node = format!("{}/reshape", self.name);
        self.emit_named(&node, op, &[tensor], &name, shape, element)?;
        Ok(name)
    }
}

/// An error if a tensor has more numbers than are supported, or none.
pub(super) fn check_activation(name: &str, shape: &[usize]) -> Result<(), Fault> {
    let fault = |problem: String| {
        let field = format!("dimensions of `{}`", Name::new(name));
        Err(Fault::new(
            field,
            problem,
            "choose a smaller input, or split the model",
        ))
    };
    if shape.len() > RANK_MAX {
        return fault(format!("{shape:?} are more than {RANK_MAX}"));
    }
    match tensor::count(shape) {
        None => fault(format!(
            "{shape:?} are more than {} numbers",
            crate::graph::NUMBERS_MAX
        )),
        Some(0) => fault(format!("{shape:?} hold no number")),
        Some(_) => Ok(()),
    }
}
