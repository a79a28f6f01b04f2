//! Attributes of a node: typed, and every one of them known.

use super::error::{Fault, Name};
use super::proto::{AttributeProto, NodeProto, TensorProto, attribute_type as kind};
use std::cell::RefCell;
use std::collections::HashSet;

/// Attributes of one node. What is never asked for is an error at the end: an attribute that is not understood may
/// change what the node computes.
pub(super) struct Attributes<'a> {
    all: &'a [AttributeProto],
    known: RefCell<HashSet<&'static str>>,
}

impl<'a> Attributes<'a> {
    pub fn new(node: &'a NodeProto) -> Result<Self, Fault> {
        let mut names = HashSet::new();
        for attribute in &node.attribute {
            let name = attribute.name.as_deref().unwrap_or_default();
            let fault = |problem: &str, fix: &str| {
                Err(Fault::new(
                    format!("attribute `{}`", Name::new(name)),
                    problem,
                    fix,
                ))
            };
            if !names.insert(name) {
                return fault("it is given twice", "export the model again");
            }
            if attribute.g.is_some() || attribute.r#type == Some(kind::GRAPH) {
                return fault("it is a subgraph", "export the model without control flow");
            }
            if attribute
                .ref_attr_name
                .as_deref()
                .is_some_and(|name| !name.is_empty())
            {
                return fault(
                    "it refers to a function around it",
                    "inline functions (onnx.inliner)",
                );
            }
        }
        Ok(Attributes {
            all: &node.attribute,
            known: RefCell::default(),
        })
    }

    /// The attribute of a name, if the node has it, of a type. Files of the first IR version give no type.
    fn get(
        &self,
        name: &'static str,
        r#type: i32,
        called: &str,
    ) -> Result<Option<&'a AttributeProto>, Fault> {
        self.known.borrow_mut().insert(name);
        let found = self
            .all
            .iter()
            .find(|attribute| attribute.name.as_deref() == Some(name));
        match found.map(|attribute| (attribute, attribute.r#type.unwrap_or(0))) {
            None => Ok(None),
            Some((attribute, found)) if found == r#type || found == 0 => Ok(Some(attribute)),
            Some(_) => {
                let problem = format!("it is no {called}");
                Err(Fault::new(name, problem, "export the model again"))
            }
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.all
            .iter()
            .any(|attribute| attribute.name.as_deref() == Some(name))
    }

    pub fn int(&self, name: &'static str) -> Result<Option<i64>, Fault> {
        let found = self.get(name, kind::INT, "integer")?;
        Ok(found.map(|attribute| attribute.i.unwrap_or(0)))
    }

    /// An integer that is 0 or 1.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, Fault> {
        self.int(name)?
            .map(|value| match value {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(Fault::new(
                    name,
                    format!("{value} is neither 0 nor 1"),
                    "choose one of them",
                )),
            })
            .transpose()
    }

    /// An integer that must have one value, because nothing else is supported.
    pub fn only(&self, name: &'static str, value: i64, fix: &str) -> Result<(), Fault> {
        match self.int(name)? {
            Some(found) if found != value => Err(Fault::new(
                name,
                format!("{found} is not supported, only {value} is"),
                fix,
            )),
            _ => Ok(()),
        }
    }

    /// A number that is finite.
    pub fn float(&self, name: &'static str) -> Result<Option<f32>, Fault> {
        match self.any_float(name)? {
            Some(value) if !value.is_finite() => Err(Fault::new(
                name,
                format!("{value} is not finite"),
                "choose a finite number",
            )),
            value => Ok(value),
        }
    }

    pub fn any_float(&self, name: &'static str) -> Result<Option<f32>, Fault> {
        let found = self.get(name, kind::FLOAT, "float")?;
        Ok(found.map(|attribute| attribute.f.unwrap_or(0.0)))
    }

    pub fn ints(&self, name: &'static str) -> Result<Option<&'a [i64]>, Fault> {
        let found = self.get(name, kind::INTS, "list of integers")?;
        Ok(found.map(|attribute| attribute.ints.as_slice()))
    }

    pub fn floats(&self, name: &'static str) -> Result<Option<&'a [f32]>, Fault> {
        let found = self.get(name, kind::FLOATS, "list of floats")?;
        Ok(found.map(|attribute| attribute.floats.as_slice()))
    }

    pub fn string(&self, name: &'static str) -> Result<Option<&'a str>, Fault> {
        let Some(attribute) = self.get(name, kind::STRING, "string")? else {
            return Ok(None);
        };
        let bytes = attribute.s.as_deref().unwrap_or_default();
        let text = std::str::from_utf8(bytes);
        text.map(Some)
            .map_err(|_| Fault::new(name, "it is no UTF-8", "export the model again"))
    }

    pub fn tensor(&self, name: &'static str) -> Result<Option<&'a TensorProto>, Fault> {
        let found = self.get(name, kind::TENSOR, "tensor")?;
        found
            .map(|attribute| {
                let missing = || Fault::new(name, "it holds no tensor", "export the model again");
                attribute.t.as_deref().ok_or_else(missing)
            })
            .transpose()
    }

    /// Attributes that change nothing here.
    pub fn ignore(&self, names: &[&'static str]) {
        self.known.borrow_mut().extend(names);
    }

    /// An error if the node has an attribute that was not asked for.
    pub fn finish(&self) -> Result<(), Fault> {
        let known = self.known.borrow();
        let names = self
            .all
            .iter()
            .map(|attribute| attribute.name.as_deref().unwrap_or_default());
        match names.into_iter().find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let field = format!("attribute `{}`", Name::new(name));
                Err(Fault::new(
                    field,
                    "it is not supported",
                    "export the model without it",
                ))
            }
        }
    }
}
