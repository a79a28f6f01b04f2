//! The messages of a file as a graph.

use super::attributes::Attributes;
use super::call::{Builder, Call, check_activation};
use super::element::Element;
use super::error::{Fault, Name, OnnxError};
use super::order::{self, tensors};
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::tensor::{self, Budget};
use super::{Limits, dense, elementwise, fold, layout, quantizers, window};
use crate::graph::{Graph, Node, Op};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Most bits of weights and activations; the hardware has no more branches. Biases may have up to 32.
const BITS_MAX: u32 = 8;

/// The graph of a model.
pub(super) fn graph(
    model: &ModelProto,
    folder: Option<&Path>,
    limits: &Limits,
) -> Result<Graph, OnnxError> {
    let missing = || {
        Fault::new(
            "graph",
            "the file holds none",
            "check that it is an ONNX model",
        )
    };
    let graph = model.graph.as_ref().ok_or_else(|| missing().in_graph())?;
    let initializers = initializers(graph)?;
    let is_input = |value: &&ValueInfoProto| !initializers.contains_key(name(value));
    let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(is_input).collect();
    let given = given(graph, &initializers, &inputs).map_err(Fault::in_graph)?;
    let order = order::sorted(graph, &given)?;
    let mut builder = builder(graph, initializers, &order, folder, limits);
    for input in inputs {
        add_input(&mut builder, input).map_err(Fault::in_graph)?;
    }
    let functions: Functions = model
        .functions
        .iter()
        .map(|function| {
            (
                function.domain.as_deref().unwrap_or_default(),
                function.name.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    for index in order {
        convert(&mut builder, &graph.node[index], index, &functions)?;
    }
    finish(builder, graph)
}

/// Domains and names of the functions of a file.
type Functions<'a> = HashSet<(&'a str, &'a str)>;

/// Names of initializers and inputs, after the checks of what belongs to no node.
fn given<'a>(
    graph: &GraphProto,
    initializers: &HashMap<&'a str, &TensorProto>,
    inputs: &[&'a ValueInfoProto],
) -> Result<HashSet<&'a str>, Fault> {
    if !graph.sparse_initializer.is_empty() {
        let problem = "sparse constants are not supported";
        return Err(Fault::new(
            "sparse_initializer",
            problem,
            "export dense weights",
        ));
    }
    if graph.output.is_empty() {
        let fix = "name the outputs and export again";
        return Err(Fault::new("output", "the graph has none", fix));
    }
    let mut given: HashSet<&str> = initializers.keys().copied().collect();
    for input in inputs {
        if !given.insert(name(input)) || name(input).is_empty() {
            let field = format!("input `{}`", Name::new(name(input)));
            return Err(Fault::new(
                field,
                "the name is taken, or empty",
                "name every input",
            ));
        }
    }
    Ok(given)
}

fn name(value: &ValueInfoProto) -> &str {
    value.name.as_deref().unwrap_or_default()
}

fn initializers(graph: &GraphProto) -> Result<HashMap<&str, &TensorProto>, OnnxError> {
    let mut initializers = HashMap::new();
    for tensor in &graph.initializer {
        let name = tensor.name.as_deref().unwrap_or_default();
        if name.is_empty() || initializers.insert(name, tensor).is_some() {
            let problem = "the name is taken, or empty";
            return Err(Fault::new(
                tensor::title(name),
                problem,
                "give every tensor a name of its own",
            )
            .in_graph());
        }
    }
    Ok(initializers)
}

fn builder<'a>(
    graph: &'a GraphProto,
    initializers: HashMap<&'a str, &'a TensorProto>,
    order: &[usize],
    folder: Option<&'a Path>,
    limits: &Limits,
) -> Builder<'a> {
    let live = || order.iter().map(|&index| &graph.node[index]);
    let outputs = graph.output.iter().map(name);
    let values = graph
        .input
        .iter()
        .chain(&graph.output)
        .chain(&graph.value_info);
    let mut declared = HashMap::new();
    for value in values {
        if let Some(dims) = dims(value) {
            let known = dims.iter().map(|dim| {
                dim.filter(|&dim| dim > 0)
                    .and_then(|dim| usize::try_from(dim).ok())
            });
            declared.insert(name(value), known.collect());
        }
    }
    let names = initializers.keys().map(|&name| name.to_owned());
    let outputs_of_nodes = live()
        .flat_map(|node| tensors(&node.output))
        .map(str::to_owned);
    Builder {
        graph: Graph {
            name: graph.name.clone().unwrap_or_default(),
            ..Graph::default()
        },
        declared,
        read: live()
            .flat_map(|node| tensors(&node.input))
            .chain(outputs)
            .collect(),
        tensor_names: names
            .chain(outputs_of_nodes)
            .chain(graph.input.iter().map(|input| name(input).to_owned()))
            .collect(),
        initializers,
        node_names: HashSet::new(),
        elements: HashMap::new(),
        summaries: RefCell::default(),
        folder,
        stored: Budget::new(limits.stored_numbers),
        folded: Budget::new(limits.folded_numbers),
    }
}

/// Dimensions of a declaration, if it has any: open ones are missing.
fn dims(value: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let shape = value
        .r#type
        .as_ref()?
        .tensor_type
        .as_ref()?
        .shape
        .as_ref()?;
    Some(shape.dim.iter().map(|dim| dim.dim_value).collect())
}

/// An input: its dimensions must be known, the batch excepted, which is 1 if it is open.
fn add_input(builder: &mut Builder, value: &ValueInfoProto) -> Result<(), Fault> {
    let name = name(value);
    let fault = |problem: String, fix: &str| {
        Fault::new(format!("input `{}`", Name::new(name)), problem, fix)
    };
    let r#type = value
        .r#type
        .as_ref()
        .and_then(|r#type| r#type.tensor_type.as_ref());
    let element = Element::of(r#type.and_then(|r#type| r#type.elem_type).unwrap_or(0))
        .map_err(|name| fault(format!("type {name} is not supported"), "use float"))?;
    let fix = "export the model with a fixed input size";
    let dims =
        dims(value).ok_or_else(|| fault("its dimensions are not declared".to_owned(), fix))?;
    let mut shape = Vec::with_capacity(dims.len().min(crate::graph::RANK_MAX));
    for (axis, dim) in dims.into_iter().enumerate() {
        match dim {
            None if axis == 0 => shape.push(1),
            None => return Err(fault(format!("dimension {axis} is open"), fix)),
            Some(dim) => match usize::try_from(dim) {
                Ok(dim) if dim > 0 => shape.push(dim),
                _ => return Err(fault(format!("dimension {axis} is {dim}"), fix)),
            },
        }
    }
    check_activation(name, &shape)?;
    builder.set_shape(name, shape, element)?;
    builder.graph.inputs.push(name.to_owned());
    Ok(())
}

/// Adds what a node of the file computes.
fn convert<'a>(
    builder: &mut Builder<'a>,
    node: &'a NodeProto,
    index: usize,
    functions: &Functions,
) -> Result<(), OnnxError> {
    let title = order::title(node, index);
    let operator = node.op_type.as_deref().unwrap_or_default();
    let domain = node.domain.as_deref().unwrap_or_default();
    let family = Family::of(domain);
    let unsupported = |fix: &str| OnnxError::Unsupported {
        node: Name::new(&title),
        operator: Name::new(operator),
        domain: Name::new(if domain.is_empty() { "ai.onnx" } else { domain }),
        fix: fix.to_owned(),
    };
    if functions.contains(&(domain, operator)) {
        return Err(unsupported(
            "it is a function of the file: inline functions (onnx.inliner)",
        ));
    }
    if !is_supported(family, operator) {
        return Err(unsupported(replacement(operator)));
    }
    let in_node = |fault: Fault| fault.in_node(&title, operator);
    for input in tensors(&node.input) {
        builder.load(input).map_err(in_node)?;
    }
    let attributes = Attributes::new(node).map_err(in_node)?;
    let mut call = Call {
        builder,
        node,
        name: title.clone(),
        attributes,
    };
    node_in_graph(&mut call, family).map_err(in_node)
}

/// Operator sets.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    /// ONNX's own.
    Standard,
    /// Quantizers of QONNX, under any of the names that it has had.
    Qonnx,
    Unknown,
}

impl Family {
    fn of(domain: &str) -> Family {
        match domain {
            "" | "ai.onnx" => Family::Standard,
            "qonnx.custom_op.general" | "onnx.brevitas" => Family::Qonnx,
            _ if domain.starts_with("finn.custom_op.") => Family::Qonnx,
            _ => Family::Unknown,
        }
    }
}

/// Whether [`node_in_graph`] knows an operator.
fn is_supported(family: Family, operator: &str) -> bool {
    const STANDARD: &[&str] = &[
        "Abs",
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Cast",
        "CastLike",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Conv",
        "DequantizeLinear",
        "Div",
        "Dropout",
        "Equal",
        "Expand",
        "Flatten",
        "Floor",
        "Gather",
        "Gemm",
        "GlobalAveragePool",
        "Identity",
        "MatMul",
        "Max",
        "MaxPool",
        "Min",
        "Mul",
        "Neg",
        "Pad",
        "QuantizeLinear",
        "Range",
        "Reciprocal",
        "ReduceMean",
        "Relu",
        "Reshape",
        "Round",
        "Shape",
        "Sign",
        "Size",
        "Slice",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Transpose",
        "Unsqueeze",
        "Where",
    ];
    const QONNX: &[&str] = &[
        "BipolarQuant",
        "IntQuant",
        "MultiThreshold",
        "Quant",
        "Trunc",
    ];
    match family {
        Family::Standard => STANDARD.contains(&operator),
        Family::Qonnx => QONNX.contains(&operator),
        Family::Unknown => false,
    }
}

/// What helps where an operator is not supported.
fn replacement(operator: &str) -> &'static str {
    match operator {
        "FloatQuant" => "quantize to integers (Quant) instead of small floats",
        "QuantLSTMCell" | "LSTM" | "GRU" | "RNN" => {
            "recurrent layers do not run here; use a feed-forward network"
        }
        "If" | "Loop" | "Scan" => "export the model without control flow",
        "Softmax" | "LogSoftmax" | "ArgMax" | "TopK" => {
            "cut the model before it: the largest of its inputs is the same class"
        }
        "HardSigmoid" | "HardSwish" | "Sigmoid" | "Tanh" | "LeakyRelu" | "PRelu" | "Elu"
        | "Gelu" | "Silu" => "use Relu or Clip (Hardtanh) as activation",
        "QLinearConv" | "QLinearMatMul" | "ConvInteger" | "MatMulInteger" => {
            "export with QuantizeLinear and DequantizeLinear around standard operators (QDQ)"
        }
        "ConvTranspose" | "Resize" | "Upsample" => {
            "upsampling does not run here; use strided layers only"
        }
        _ => "replace it by supported operators, or cut the model there",
    }
}

fn node_in_graph(call: &mut Call, family: Family) -> Result<(), Fault> {
    let output = call.output()?;
    let builder = &call.builder;
    let extra = call
        .node
        .output
        .iter()
        .enumerate()
        .skip(1)
        .find(|(_, name)| builder.read.contains(name.as_str()));
    if let Some((index, name)) = extra {
        let field = format!("output {index} `{}`", Name::new(name));
        return Err(Fault::new(
            field,
            "only the first output is supported",
            "do not use it",
        ));
    }
    if family == Family::Standard
        && let Some((array, element)) = fold::fold(call)?
    {
        call.attributes.finish()?;
        return call.builder.set_constant(output, array, element);
    }
    typed(call)?;
    call.attributes.finish()
}

/// Operators on activations.
fn typed(call: &mut Call) -> Result<(), Fault> {
    match call.operator() {
        "Conv" => window::conv(call),
        "MaxPool" => window::max_pool(call),
        "AveragePool" => window::average_pool(call),
        "GlobalAveragePool" => window::global_average_pool(call),
        "ReduceMean" => window::reduce_mean(call),
        "Gemm" => dense::gemm(call),
        "MatMul" => dense::matmul(call),
        "BatchNormalization" => dense::batch_norm(call),
        "Relu" => elementwise::unary(call, Op::Relu),
        "Sign" => elementwise::unary(call, Op::Sign),
        "Neg" => elementwise::unary(call, Op::Neg),
        "Identity" => elementwise::unary(call, Op::Identity),
        "Dropout" => elementwise::dropout(call),
        "Cast" => elementwise::cast(call),
        "Clip" => elementwise::clip(call),
        "Add" => elementwise::binary(call, Op::Add),
        "Sub" => elementwise::binary(call, Op::Sub),
        "Mul" => elementwise::binary(call, Op::Mul),
        "Div" => elementwise::binary(call, Op::Div),
        "Sum" => elementwise::sum(call),
        "Max" | "Min" => elementwise::extreme(call),
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => layout::regroup(call),
        "Transpose" => layout::transpose(call),
        "Concat" => layout::concat(call),
        "Pad" => layout::pad(call),
        "Quant" | "IntQuant" => quantizers::quant(call),
        "BipolarQuant" => quantizers::bipolar(call),
        "Trunc" => quantizers::trunc(call),
        "MultiThreshold" => quantizers::multi_threshold(call),
        "QuantizeLinear" => quantizers::quantize_linear(call),
        "DequantizeLinear" => quantizers::dequantize_linear(call),
        _ => {
            let problem =
                "the operator is supported on constants only, but this depends on the input";
            Err(Fault::new(
                "input 0",
                problem,
                "replace it by supported operators, or cut the model there",
            ))
        }
    }
}

/// Outputs, data types, and only those constants that are used.
fn finish(mut builder: Builder, graph: &GraphProto) -> Result<Graph, OnnxError> {
    for output in &graph.output {
        // Loads an initializer that is an output itself.
        builder.load(name(output)).map_err(Fault::in_graph)?;
        builder.graph.outputs.push(name(output).to_owned());
    }
    check_bits(&builder.graph)?;
    let Graph {
        nodes,
        inputs,
        outputs,
        constants,
        shapes,
        datatypes,
        ..
    } = &mut builder.graph;
    let mut used: HashSet<&str> = nodes
        .iter()
        .flat_map(|node| tensors(&node.inputs))
        .collect();
    used.extend(nodes.iter().map(|node| node.output.as_str()));
    used.extend(inputs.iter().chain(outputs.iter()).map(String::as_str));
    constants.retain(|name, _| used.contains(name.as_str()));
    shapes.retain(|name, _| used.contains(name.as_str()));
    for annotation in &graph.quantization_annotation {
        let tensor = annotation.tensor_name.as_deref().unwrap_or_default();
        let entries = &annotation.quant_parameter_tensor_names;
        let data_type = entries
            .iter()
            .find(|entry| entry.key.as_deref() == Some("finn_datatype"));
        if let Some(value) = data_type.and_then(|entry| entry.value.clone()) {
            datatypes.insert(tensor.to_owned(), value);
        }
    }
    datatypes.retain(|name, _| used.contains(name.as_str()));
    Ok(builder.graph)
}

/// An error for the first quantizer of weights or activations with too many bits.
fn check_bits(graph: &Graph) -> Result<(), OnnxError> {
    let mut readers: HashMap<&str, Vec<(&Node, usize)>> = HashMap::new();
    for node in &graph.nodes {
        for (index, input) in node.inputs.iter().enumerate() {
            readers.entry(input).or_default().push((node, index));
        }
    }
    for node in &graph.nodes {
        let (field, levels) = match &node.op {
            Op::Quant { levels, .. } => ("bit_width", levels),
            Op::Trunc { levels, .. } => ("output_bit_width", levels),
            Op::QuantizeLinear { levels, .. } => ("zero_point", levels),
            _ => continue,
        };
        let is_bias = || {
            graph.constants.contains_key(&node.inputs[0]) && is_only_added(&readers, &node.output)
        };
        if levels.bits > BITS_MAX && !is_bias() {
            let problem = format!(
                "{} bits of weights or activations are too many: 1..={BITS_MAX}",
                levels.bits
            );
            let fault = Fault::new(
                field,
                problem,
                format!("quantize to {BITS_MAX} bits or fewer"),
            );
            return Err(fault.in_node(&node.name, node.op.name()));
        }
    }
    Ok(())
}

/// Whether a tensor is a bias: it is added, perhaps in other dimensions, and nothing else is done with it.
fn is_only_added(readers: &HashMap<&str, Vec<(&Node, usize)>>, tensor: &str) -> bool {
    let mut tensor = tensor;
    loop {
        let readers = readers.get(tensor).map(Vec::as_slice).unwrap_or_default();
        let is_sum = |&(node, index): &(&Node, usize)| match node.op {
            Op::Add | Op::Sub => true,
            Op::Conv { .. } | Op::Gemm { .. } => index == 2,
            _ => false,
        };
        match readers {
            [] => return false,
            _ if readers.iter().all(is_sum) => return true,
            [(node, 0)] => match node.op {
                // Nodes stand after those that they read, so this ends.
                Op::DequantizeLinear { .. }
                | Op::Reshape { .. }
                | Op::Transpose { .. }
                | Op::Identity => {
                    tensor = &node.output;
                }
                _ => return false,
            },
            _ => return false,
        }
    }
}
