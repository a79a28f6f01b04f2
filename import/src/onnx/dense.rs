//! Matrix products and batch normalization.

use super::call::Call;
use super::error::Fault;
use super::shapes::broadcast;
use crate::graph::Op;

/// `alpha * A' * B' + beta * C`.
pub(super) fn gemm(call: &mut Call) -> Result<(), Fault> {
    call.arity(3)?;
    // Before opset 7; C was broadcast with it, and is now always.
    call.attributes.ignore(&["broadcast"]);
    let alpha = call.attributes.float("alpha")?.unwrap_or(1.0);
    let beta = call.attributes.float("beta")?.unwrap_or(1.0);
    let transpose_a = call.attributes.flag("transA")?.unwrap_or(false);
    let transpose_b = call.attributes.flag("transB")?.unwrap_or(false);
    let (m, inner) = matrix(call, 0, "A", transpose_a)?;
    let (rows, n) = matrix(call, 1, "B", transpose_b)?;
    if rows != inner {
        return Err(product(call));
    }
    for (index, what) in [(0, "A"), (1, "B"), (2, "C")] {
        call.check_finite(index, what)?;
    }
    let mut inputs = vec![call.needed(0, "A")?, call.needed(1, "B")?];
    if let Some(c) = call.input(2) {
        let shape = call.shape(c);
        if broadcast(&shape, &[m, n]) != Some(vec![m, n]) {
            let problem = format!("dimensions {shape:?} do not fit the product's [{m}, {n}]");
            return Err(call.wrong(2, "C", problem, format!("give {n} numbers")));
        }
        inputs.push(c);
    }
    let op = Op::Gemm {
        alpha,
        beta,
        transpose_a,
        transpose_b,
    };
    call.emit(op, &inputs, vec![m, n])
}

/// Rows and columns of an input that may be transposed.
fn matrix(
    call: &Call,
    index: usize,
    what: &str,
    is_transposed: bool,
) -> Result<(usize, usize), Fault> {
    match *call.shape(call.needed(index, what)?) {
        [columns, rows] if is_transposed => Ok((rows, columns)),
        [rows, columns] => Ok((rows, columns)),
        ref shape => {
            let problem = format!("dimensions {shape:?}, but a matrix is needed");
            Err(call.wrong(index, what, problem, "flatten it before"))
        }
    }
}

fn product(call: &Call) -> Fault {
    let shape = |index| {
        call.input(index)
            .map(|name| call.shape(name))
            .unwrap_or_default()
    };
    let problem = format!(
        "dimensions {:?} do not fit {:?} of input 0",
        shape(1),
        shape(0)
    );
    call.wrong(1, "B", problem, "make the inner dimensions equal")
}

/// Matrix product as NumPy does it.
pub(super) fn matmul(call: &mut Call) -> Result<(), Fault> {
    call.arity(2)?;
    let (a, b) = (call.needed(0, "A")?, call.needed(1, "B")?);
    let (left, right) = (call.shape(a), call.shape(b));
    let shape = matmul_shape(&left, &right).ok_or_else(|| product(call))?;
    call.check_finite(0, "A")?;
    call.check_finite(1, "B")?;
    call.emit(Op::MatMul, &[a, b], shape)
}

/// A vector counts as a row on the left and as a column on the right.
fn matmul_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let (a_outer, m, inner) = match a {
        [] => return None,
        [inner] => (&[][..], None, *inner),
        [outer @ .., m, inner] => (outer, Some(*m), *inner),
    };
    let (b_outer, rows, n) = match b {
        [] => return None,
        [rows] => (&[][..], *rows, None),
        [outer @ .., rows, n] => (outer, *rows, Some(*n)),
    };
    if rows != inner {
        return None;
    }
    let mut shape = broadcast(a_outer, b_outer)?;
    shape.extend(m.into_iter().chain(n));
    Some(shape)
}

/// Batch normalization in inference.
pub(super) fn batch_norm(call: &mut Call) -> Result<(), Fault> {
    call.arity(5)?;
    call.attributes
        .ignore(&["momentum", "is_test", "consumed_inputs"]);
    call.attributes
        .only("training_mode", 0, "export the model after model.eval()")?;
    call.attributes
        .only("spatial", 1, "normalize per channel")?;
    let epsilon = call.attributes.float("epsilon")?.unwrap_or(1e-5);
    let x = call.needed(0, "data")?;
    let shape = call.shape(x);
    let channels = match shape.get(1) {
        Some(&channels) => channels,
        None => {
            let problem = format!("dimensions {shape:?}, but channels are needed");
            return Err(call.wrong(0, "data", problem, "give [N, C, ...]"));
        }
    };
    let mut inputs = vec![x];
    for (index, what) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
        let name = call.needed(index, what)?;
        call.fixed(index, what)?;
        let found = call.shape(name);
        if found != [channels] {
            let problem =
                format!("dimensions {found:?} do not fit {channels} channels of {shape:?}");
            return Err(call.wrong(index, what, problem, format!("give {channels} numbers")));
        }
        call.check_finite(index, what)?;
        inputs.push(name);
    }
    let least = call.summary(4).map_or(0.0, |summary| summary.min);
    if least < 0.0 {
        return Err(call.first_wrong(4, "variance", "is negative", |number| number < 0.0));
    }
    if epsilon < 0.0 || least + f64::from(epsilon) <= 0.0 {
        let problem = format!("{epsilon} leaves a variance of {least} not positive");
        return Err(Fault::new(
            "epsilon",
            problem,
            "choose a small positive number",
        ));
    }
    call.emit(Op::BatchNormalization { epsilon }, &inputs, shape)
}
