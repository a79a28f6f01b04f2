//! The reference encoder against plain integers: every encoding pair at every precision.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_sim::encoder::{Branches, dequantize, dot, quantize};
use xnorforge_sim::{EncodeError, Encoding};

/// Every encoding at every precision that it has.
fn precisions() -> impl Iterator<Item = (Encoding, u32)> {
    Encoding::ALL
        .into_iter()
        .flat_map(|encoding| (1..=8).map(move |bits| (encoding, bits)))
        .filter(|(encoding, bits)| encoding.check_bits(*bits).is_ok())
}

fn numbers(encoding: Encoding, bits: u32) -> Vec<i32> {
    let (min, max) = encoding.range(bits);
    (min..=max)
        .filter(|value| encoding.contains(bits, *value))
        .map(|value| value as i32)
        .collect()
}

#[test]
fn every_number_has_one_code_and_comes_back() {
    for (encoding, bits) in precisions() {
        let mut codes: Vec<Vec<bool>> = Vec::new();
        for value in numbers(encoding, bits) {
            let code = encoding.encode(bits, value.into()).unwrap();
            assert_eq!(code.len(), bits as usize);
            assert_eq!(
                encoding.decode(bits, &code).unwrap(),
                value.into(),
                "{encoding} {bits}"
            );
            codes.push(code);
        }
        let expected = if encoding == Encoding::Ternary {
            3
        } else {
            1 << bits
        };
        assert_eq!(codes.len(), expected, "{encoding} {bits}");
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), expected, "{encoding} {bits}");
    }
}

#[test]
fn codes_are_those_of_the_architecture() {
    let code = |encoding: Encoding, bits, value| -> u32 {
        let branches = encoding.encode(bits, value).unwrap();
        (0..).zip(branches).map(|(i, b)| u32::from(b) << i).sum()
    };
    assert_eq!(code(Encoding::Bipolar, 3, -7), 0);
    assert_eq!(code(Encoding::Bipolar, 3, 7), 7);
    assert_eq!(code(Encoding::Bipolar, 3, -1), 3);
    assert_eq!(code(Encoding::Unsigned, 4, 10), 10);
    assert_eq!(code(Encoding::Signed, 4, -8), 0);
    assert_eq!(code(Encoding::Signed, 4, 7), 15);
    assert_eq!(
        [-1, 0, 1].map(|x| code(Encoding::Ternary, 2, x)),
        [0b00, 0b01, 0b11]
    );
}

#[test]
fn dot_products_by_branches_are_dot_products() {
    let seed = 2019;
    println!("seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for (x_encoding, m) in precisions() {
        for (w_encoding, k) in precisions() {
            let (xs, ws) = (numbers(x_encoding, m), numbers(w_encoding, k));
            for n in [1, 2, 3, rng.random_range(4..40)] {
                let mut pick = |from: &[i32], fill: u32| -> Vec<i32> {
                    (0..n)
                        .map(|_| match fill {
                            0 => from[0],
                            1 => from[from.len() - 1],
                            _ => *from.choose(&mut rng).unwrap(),
                        })
                        .collect()
                };
                for (x_fill, w_fill) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)] {
                    let (x, w) = (pick(&xs, x_fill), pick(&ws, w_fill));
                    let plain: i64 = x
                        .iter()
                        .zip(&w)
                        .map(|(x, w)| i64::from(*x) * i64::from(*w))
                        .sum();
                    let x = Branches::encode(x_encoding, m, &x).unwrap();
                    let w = Branches::encode(w_encoding, k, &w).unwrap();
                    assert_eq!(
                        dot(&x, &w),
                        plain,
                        "{x_encoding} {m}, {w_encoding} {k}, {n}"
                    );
                }
            }
        }
    }
}

#[test]
fn quantizer_gives_the_nearest_code_half_to_even() {
    for bits in 1..=8 {
        let steps = (1 << bits) - 1;
        // x = t / 2^20, so that the distance to every level is an exact integer.
        let one = 1i64 << 20;
        for t in (-one - 5000..=one + 5000)
            .step_by(997)
            .chain([0, -1, 1, one, -one])
        {
            let quantized = quantize(&[t as f64 / one as f64], bits).unwrap()[0];
            let clipped = t.clamp(-one, one);
            let distance = |v: i64| (steps * clipped - v * one).abs();
            let nearest = (-steps..=steps)
                .step_by(2)
                .min_by_key(|v| (distance(*v), ((v + steps) / 2) % 2))
                .unwrap();
            assert_eq!(i64::from(quantized), nearest, "{bits} bits, {t} / 2^20");
        }
    }
}

#[test]
fn quantizer_rounds_exactly_next_to_ties() {
    // With one bit the only tie is at 0, and code 0 (-1) is the even one.
    let cases = [
        (0.0, -1),
        (-0.0, -1),
        (1e-300, 1),
        (-1e-300, -1),
        (f64::MIN_POSITIVE, 1),
    ];
    for (value, expected) in cases {
        assert_eq!(quantize(&[value], 1).unwrap(), [expected], "{value}");
    }
    // With two bits 2/3 is a tie between 1 and 3; the double below it is less than 2/3.
    let below = 2.0 / 3.0;
    assert_eq!(quantize(&[below], 2).unwrap(), [1]);
    assert_eq!(
        quantize(&[f64::from_bits(below.to_bits() + 1)], 2).unwrap(),
        [3]
    );
    assert_eq!(dequantize(3, 2), 1.0);
    assert_eq!(dequantize(-1, 2), -1.0 / 3.0);
}

#[test]
fn levels_are_fixed_points_of_the_quantizer() {
    for bits in 1..=8 {
        let levels = numbers(Encoding::Bipolar, bits);
        let reals: Vec<f64> = levels.iter().map(|v| dequantize(*v, bits)).collect();
        assert_eq!(quantize(&reals, bits).unwrap(), levels, "{bits} bits");
    }
}

#[test]
fn errors_name_encoding_bits_value_limit_and_fix() {
    let text = |error: EncodeError| error.to_string();
    assert_eq!(
        text(Encoding::Bipolar.encode(2, 0).unwrap_err()),
        "0 is even, and `bipolar` of 2 bits holds odd numbers only, -3..=3; quantize to odd numbers or choose `signed`"
    );
    assert_eq!(
        text(Encoding::Unsigned.encode(3, 8).unwrap_err()),
        "8 is out of range for `unsigned` of 3 bits: 0..=7 is legal; clip the value or raise the bits"
    );
    assert_eq!(
        text(Encoding::Ternary.encode(3, 0).unwrap_err()),
        "`ternary` of 3 bits does not exist: exactly 2 bits are legal; choose that"
    );
    assert_eq!(
        text(Encoding::Ternary.decode(2, &[false, true]).unwrap_err()),
        "[false, true] (least significant first) is no code of `ternary` of 2 bits: 00, 01 and 11 are legal; encode the number again"
    );
    assert_eq!(
        text("binary".parse::<Encoding>().unwrap_err()),
        "encoding \"binary\" is unknown; choose one of bipolar, unsigned, signed, ternary"
    );
    assert_eq!(
        text(quantize(&[0.5, f64::NAN], 2).unwrap_err()),
        "element 1 is NaN: only finite numbers can be quantized; clean the tensor"
    );
    assert!(quantize(&[], 9).is_err());
    assert!(Encoding::Signed.encode(0, 0).is_err());
    assert!(Encoding::Unsigned.encode(8, i64::MAX).is_err());
    assert!(Encoding::Bipolar.encode(8, i64::MIN).is_err());
}
