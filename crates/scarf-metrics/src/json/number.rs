/// `10^k` for those that `f64` holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// `(floor(2^(b + 63) / 5^k), b)`, where `b` is the bit length of `5^k`, for k from 0 to 27.
const FIFTHS: [(u64, u32); 28] = {
    let mut table = [(0, 0); 28];
    let (mut k, mut power) = (1, 5u128);
    while k < 28 {
        let length = 128 - power.leading_zeros();
        table[k] = (((1u128 << (length + 63)) / power) as u64, length);
        power *= 5;
        k += 1;
    }
    table
};

/// The `f64` nearest to `digits / 10^places`, or `None` where that takes more than 128 bits to say
/// (about one number of 1,000 with 17 digits).
///
/// Small numbers divide exactly (Clinger 1990). Others are multiplied by a reciprocal rounded down,
/// and the product's error bounds decide whether the rounding is certain (the idea of Eisel and
/// Lemire, "Number parsing at a gigabyte per second", 2021).
#[inline(always)]
pub(super) fn decimal(digits: u64, places: usize) -> Option<f64> {
    if digits < 1 << 53 {
        return Some(digits as f64 / *TENS.get(places)?);
    }
    if places == 0 {
        return Some(digits as f64);
    }
    let &(reciprocal, length) = FIFTHS.get(places)?;
    let shift = digits.leading_zeros();
    let high = ((u128::from(digits << shift) * u128::from(reciprocal)) >> 64) as u64;
    // the exact product lies in high..high + 2; 53 bits of it are kept
    let spare = 11 - high.leading_zeros();
    let (rest, half) = (high & ((1 << spare) - 1), 1 << (spare - 1));
    let kept = high >> spare;
    let kept = if rest + 2 <= half {
        kept
    } else if rest > half {
        kept + 1 // also where the product reaches a little beyond it
    } else {
        return None;
    };
    let exponent = i64::from(spare) + 1 - i64::from(length + shift) - places as i64;
    Some(kept as f64 * f64::from_bits(((1023 + exponent) as u64) << 52))
}

/// Up to eight decimal digits at the start of eight bytes: their value and how many.
#[inline(always)]
pub(super) fn eight_digits(bytes: [u8; 8]) -> (u64, usize) {
    let values = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let count = (others.trailing_zeros() / 8) as usize;
    if count == 0 {
        return (0, 0);
    }
    let v = values << (64 - 8 * count); // zeros in front
    let v = v.wrapping_mul(10) + (v >> 8);
    let low = (v & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = ((v >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    (u64::from((low.wrapping_add(high) >> 32) as u32), count)
}

/// `10^count`, for up to eight digits.
pub(super) const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_up_to_the_first_other_byte() {
        assert_eq!(eight_digits(*b"12345678"), (12_345_678, 8));
        assert_eq!(eight_digits(*b"12.45678"), (12, 2));
        assert_eq!(eight_digits(*b"0000001,"), (1, 7));
        assert_eq!(eight_digits(*b"7\xff\xff\x80:/09"), (7, 1));
        assert_eq!(eight_digits(*b"}2345678").1, 0);
    }

    proptest! {
        #[test]
        fn decimals_are_those_of_the_standard_library(digits: u64, shift in 0..64u32, places in 0..30usize) {
            let digits = digits >> shift;
            if let Some(value) = decimal(digits, places) {
                prop_assert_eq!(value, format!("{digits}e-{places}").parse::<f64>().unwrap());
            } else {
                prop_assert!(digits >= 1 << 53 || places > 22);
            }
        }

        #[test]
        fn printed_numbers_come_back(value in 0.0..1e4f64) {
            let text = format!("{value:?}");
            let (whole, part) = text.split_once('.').unwrap();
            if let Ok(digits) = format!("{whole}{part}").parse() && let Some(read) = decimal(digits, part.len()) {
                prop_assert_eq!(read, value);
            }
        }
    }
}
