//! The emitter's expressions: exact widths, references to bits of nets, no syntax yet.

use super::EmitError;
use std::collections::BTreeMap;

/// A net of a module, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NetId(pub usize);

/// `constant + sum of factor * loop variable`: the place of a bit in a net.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Affine {
    pub terms: BTreeMap<String, u32>,
    pub constant: u32,
}

impl Affine {
    pub fn constant(constant: u32) -> Self {
        Affine {
            terms: BTreeMap::new(),
            constant,
        }
    }

    pub fn variable(name: &str) -> Self {
        Affine {
            terms: BTreeMap::from([(name.to_owned(), 1)]),
            constant: 0,
        }
    }

    pub fn plus(mut self, other: &Affine) -> Self {
        for (name, factor) in &other.terms {
            *self.terms.entry(name.clone()).or_default() += factor;
        }
        self.constant += other.constant;
        self
    }

    pub fn times(mut self, factor: u32) -> Self {
        self.constant *= factor;
        self.terms.values_mut().for_each(|f| *f *= factor);
        self.terms.retain(|_, f| *f != 0);
        self
    }

    pub fn substitute(&self, name: &str, value: &Affine) -> Self {
        let mut rest = self.clone();
        match rest.terms.remove(name) {
            Some(factor) => rest.plus(&value.clone().times(factor)),
            None => rest,
        }
    }

    pub fn as_constant(&self) -> Option<u32> {
        self.terms.is_empty().then_some(self.constant)
    }
}

/// `width` bits of a net, from bit `offset` up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bits {
    pub net: NetId,
    pub offset: Affine,
    pub width: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    And,
    Or,
    Xor,
    Add,
    Sub,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    pub fn symbol(self) -> &'static str {
        match self {
            Op::And => "&",
            Op::Or => "|",
            Op::Xor => "^",
            Op::Add => "+",
            Op::Sub => "-",
            Op::Shl => "<<",
            Op::Shr => ">>",
            Op::Eq => "==",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        }
    }

    pub fn is_bitwise(self) -> bool {
        matches!(self, Op::And | Op::Or | Op::Xor)
    }

    fn is_comparison(self) -> bool {
        matches!(self, Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge)
    }
}

/// An expression of a known width.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Expr {
    Bits(Bits),
    Literal {
        width: u32,
        value: u64,
    },
    Not(Box<Expr>),
    /// Whether any bit is 1.
    Any(Box<Expr>),
    Binary(Op, Box<Expr>, Box<Expr>),
    /// Most significant part first.
    Concat(Vec<Expr>),
    Select {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
}

impl Expr {
    pub fn zeros(width: u32) -> Self {
        Expr::Literal { width, value: 0 }
    }

    pub fn width(&self) -> u32 {
        match self {
            Expr::Bits(bits) => bits.width,
            Expr::Literal { width, .. } => *width,
            Expr::Not(e) => e.width(),
            Expr::Any(_) => 1,
            Expr::Binary(op, ..) if op.is_comparison() => 1,
            Expr::Binary(_, left, _) => left.width(),
            Expr::Concat(parts) => parts.iter().map(Expr::width).sum(),
            Expr::Select { then, .. } => then.width(),
        }
    }

    pub fn as_literal(&self) -> Option<u64> {
        match self {
            Expr::Literal { value, .. } => Some(*value),
            _ => None,
        }
    }

    /// Calls `f` on every reference to bits of a net.
    pub fn for_each_bits(&self, f: &mut dyn FnMut(&Bits)) {
        match self {
            Expr::Bits(bits) => f(bits),
            Expr::Literal { .. } => {}
            Expr::Not(e) | Expr::Any(e) => e.for_each_bits(f),
            Expr::Binary(_, a, b) => {
                a.for_each_bits(f);
                b.for_each_bits(f);
            }
            Expr::Concat(parts) => parts.iter().for_each(|p| p.for_each_bits(f)),
            Expr::Select {
                test,
                then,
                otherwise,
            } => {
                test.for_each_bits(f);
                then.for_each_bits(f);
                otherwise.for_each_bits(f);
            }
        }
    }

    /// Replaces every reference to bits of a net.
    pub fn map_bits(self, f: &dyn Fn(Bits) -> Bits) -> Expr {
        let map = |e: Box<Expr>| Box::new(e.map_bits(f));
        match self {
            Expr::Bits(bits) => Expr::Bits(f(bits)),
            Expr::Literal { .. } => self,
            Expr::Not(e) => Expr::Not(map(e)),
            Expr::Any(e) => Expr::Any(map(e)),
            Expr::Binary(op, a, b) => Expr::Binary(op, map(a), map(b)),
            Expr::Concat(parts) => Expr::Concat(parts.into_iter().map(|p| p.map_bits(f)).collect()),
            Expr::Select {
                test,
                then,
                otherwise,
            } => Expr::Select {
                test: map(test),
                then: map(then),
                otherwise: map(otherwise),
            },
        }
    }

    /// Puts an expression in the place of every reference to exactly these bits.
    pub fn replace(self, bits: &Bits, by: &Expr) -> Expr {
        let replace = |e: Box<Expr>| Box::new(e.replace(bits, by));
        match self {
            Expr::Bits(own) if own == *bits => by.clone(),
            Expr::Bits(_) | Expr::Literal { .. } => self,
            Expr::Not(e) => Expr::Not(replace(e)),
            Expr::Any(e) => Expr::Any(replace(e)),
            Expr::Binary(op, a, b) => Expr::Binary(op, replace(a), replace(b)),
            Expr::Concat(parts) => concat(parts.into_iter().map(|p| p.replace(bits, by)).collect()),
            Expr::Select {
                test,
                then,
                otherwise,
            } => Expr::Select {
                test: replace(test),
                then: replace(then),
                otherwise: replace(otherwise),
            },
        }
    }

    /// Puts `value` in the place of a loop variable.
    pub fn substitute(self, name: &str, value: &Affine) -> Expr {
        self.map_bits(&|mut bits| {
            bits.offset = bits.offset.substitute(name, value);
            bits
        })
    }

    /// `a op b` on operands of equal width.
    pub fn binary(op: Op, a: Expr, b: Expr) -> Result<Expr, EmitError> {
        if !matches!(op, Op::Shl | Op::Shr) && a.width() != b.width() {
            return Err(EmitError::unsupported(format!(
                "`{}` on operands of {} and {} bits",
                op.symbol(),
                a.width(),
                b.width()
            )));
        }
        if let (Op::Shl | Op::Shr, Some(distance)) = (op, b.as_literal()) {
            return a.shift(op, u32::try_from(distance).unwrap_or(u32::MAX));
        }
        if op == Op::Or
            && let Some(merged) = merge(&a, &b)
        {
            return Ok(merged);
        }
        Ok(Expr::Binary(op, Box::new(a), Box::new(b)))
    }

    /// A shift by a constant is wiring.
    fn shift(self, op: Op, distance: u32) -> Result<Expr, EmitError> {
        let width = self.width();
        if distance >= width {
            return Ok(Expr::zeros(width));
        }
        if distance == 0 {
            return Ok(self);
        }
        let zeros = Expr::zeros(distance);
        Ok(if op == Op::Shl {
            concat(vec![self.part(0, width - distance)?, zeros])
        } else {
            concat(vec![zeros, self.part(distance, width - distance)?])
        })
    }

    /// Bits `low .. low + width` of the expression.
    pub fn part(self, low: u32, width: u32) -> Result<Expr, EmitError> {
        if low == 0 && width == self.width() {
            return Ok(self);
        }
        Ok(match self {
            Expr::Bits(mut bits) => {
                bits.offset.constant += low;
                bits.width = width;
                Expr::Bits(bits)
            }
            Expr::Literal { value, .. } => Expr::Literal {
                width,
                value: value.checked_shr(low).unwrap_or(0) & mask(width),
            },
            Expr::Not(e) => Expr::Not(Box::new(e.part(low, width)?)),
            Expr::Binary(op, a, b) if op.is_bitwise() => Expr::Binary(
                op,
                Box::new(a.part(low, width)?),
                Box::new(b.part(low, width)?),
            ),
            Expr::Select {
                test,
                then,
                otherwise,
            } => Expr::Select {
                test,
                then: Box::new(then.part(low, width)?),
                otherwise: Box::new(otherwise.part(low, width)?),
            },
            Expr::Concat(parts) => part_of_concat(parts, low, width)?,
            Expr::Any(_) | Expr::Binary(..) => {
                return Err(EmitError::unsupported(
                    "a cast that drops bits of a sum: give the sum a local signal first",
                ));
            }
        })
    }

    /// The expression in `width` bits: zero-extended or truncated.
    pub fn resize(self, width: u32) -> Result<Expr, EmitError> {
        let own = self.width();
        if width <= own {
            return self.part(0, width);
        }
        Ok(concat(vec![Expr::zeros(width - own), self]))
    }
}

fn mask(width: u32) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    }
}

fn part_of_concat(parts: Vec<Expr>, low: u32, width: u32) -> Result<Expr, EmitError> {
    let mut kept = Vec::new();
    let mut at = 0;
    for part in parts.into_iter().rev() {
        let part_width = part.width();
        let from = low.max(at);
        let to = (low + width).min(at + part_width);
        if from < to {
            kept.push(part.part(from - at, to - from)?);
        }
        at += part_width;
    }
    kept.reverse();
    Ok(concat(kept))
}

/// Joins nested parts and neighbouring zeros.
pub(super) fn concat(parts: Vec<Expr>) -> Expr {
    let mut flat: Vec<Expr> = Vec::new();
    for part in parts {
        let inner = match part {
            Expr::Concat(inner) => inner,
            other => vec![other],
        };
        for part in inner {
            match (flat.last_mut(), &part) {
                (Some(Expr::Literal { width, value: 0 }), Expr::Literal { width: w, value: 0 }) => {
                    *width += w;
                }
                _ => flat.push(part),
            }
        }
    }
    if flat.len() == 1 {
        return flat.swap_remove(0);
    }
    Expr::Concat(flat)
}

fn segments(e: &Expr) -> Vec<(u32, Expr)> {
    let parts = match e {
        Expr::Concat(parts) => parts.clone(),
        other => vec![other.clone()],
    };
    let mut at = 0;
    let mut found = Vec::new();
    for part in parts.into_iter().rev() {
        let width = part.width();
        if part.as_literal() != Some(0) {
            found.push((at, part));
        }
        at += width;
    }
    found
}

/// `{a, 0} | {0, b}` is `{a, b}`: an OR of concatenations whose parts do not overlap is one concatenation.
fn merge(a: &Expr, b: &Expr) -> Option<Expr> {
    if !matches!((a, b), (Expr::Concat(_), _) | (_, Expr::Concat(_))) {
        return None;
    }
    let width = a.width();
    let mut all = segments(a);
    all.extend(segments(b));
    all.sort_by_key(|(at, _)| *at);
    let mut parts = Vec::new();
    let mut at = 0;
    for (start, part) in all {
        if start < at {
            return None;
        }
        if start > at {
            parts.push(Expr::zeros(start - at));
        }
        at = start + part.width();
        parts.push(part);
    }
    if at < width {
        parts.push(Expr::zeros(width - at));
    }
    parts.reverse();
    Some(concat(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(width: u32) -> Expr {
        Expr::Bits(Bits {
            net: NetId(0),
            offset: Affine::constant(0),
            width,
        })
    }

    #[test]
    fn shift_and_or_become_wiring() {
        let high = Expr::binary(
            Op::Shl,
            net(3).resize(5).unwrap(),
            Expr::Literal {
                width: 32,
                value: 2,
            },
        )
        .unwrap();
        let both = Expr::binary(Op::Or, high, net(2).resize(5).unwrap()).unwrap();
        assert_eq!(both, Expr::Concat(vec![net(3), net(2)]));
    }

    #[test]
    fn overlapping_parts_stay_an_or() {
        let a = net(3).resize(5).unwrap();
        let or = Expr::binary(Op::Or, a.clone(), a).unwrap();
        assert!(matches!(or, Expr::Binary(Op::Or, ..)));
    }

    #[test]
    fn dropping_bits_of_a_sum_is_refused() {
        let sum = Expr::binary(Op::Add, net(4), net(4)).unwrap();
        assert!(sum.part(0, 2).is_err());
    }

    #[test]
    fn unequal_widths_are_refused() {
        assert!(Expr::binary(Op::Xor, net(4), net(5)).is_err());
    }
}
