/// `10^k` for those that `f64` holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// `(floor(2^(b + 63) / 5^k), 1086 - b - k)`, where `b` is the bit length of `5^k`, for k from 0 to 27.
const FIFTHS: [(u64, u64); 28] = {
    let mut table = [(0, 0); 28];
    let (mut k, mut power) = (1, 5u128);
    while k < 28 {
        let length = 128 - power.leading_zeros();
        table[k] = (((1u128 << (length + 63)) / power) as u64, 1086 - length as u64 - k as u64);
        power *= 5;
        k += 1;
    }
    table
};

/// A number as detectors write most of them, at the start of the text: up to seven digits, perhaps a
/// sign before them, perhaps a point and up to 23 digits behind. The number, and how many bytes it takes.
///
/// `None` for all others, and for one in a thousand that needs more than 128 bits to be rounded rightly.
#[inline(always)]
pub(super) fn plain(text: &[u8; LONGEST]) -> Option<(f64, usize)> {
    let negative = text[0] == b'-';
    let mut at = usize::from(negative);
    let (whole, count) = eight_digits(word(text, at));
    if count == 0 || count == 8 || (count > 1 && text[at] == b'0') {
        return None;
    }
    at += count;
    let value = if text[at] == b'.' {
        let (first, count) = eight_digits(word(text, at + 1));
        at += 1 + count;
        match count {
            0 => return None,
            // both are exact, so the quotient is the nearest
            1..8 => (whole * POWERS[count] + first) as f64 / TENS[count],
            _ => {
                let (value, more) = long_fraction(whole * POWERS[8] + first, text, at)?;
                at += more;
                value
            }
        }
    } else {
        whole as f64
    };
    if text[at] | 0x20 == b'e' {
        return None;
    }
    Some((if negative { -value } else { value }, at))
}

/// The bytes that [`plain`] looks at: a sign, 7 digits, a point, 24 more, and what comes then.
pub(super) const LONGEST: usize = 34;

/// Goes on behind the eighth digit of a fraction: the number, and how many more digits it has.
#[inline(always)]
fn long_fraction(digits: u64, text: &[u8; LONGEST], at: usize) -> Option<(f64, usize)> {
    let (second, count) = eight_digits(word(text, at));
    let mut digits = digits.checked_mul(POWERS[count])?.checked_add(second)?;
    let mut more = count;
    if count == 8 {
        let (third, count) = eight_digits(word(text, at + 8));
        digits = digits.checked_mul(POWERS[count])?.checked_add(third)?;
        more += count;
    }
    (more < 16).then_some((decimal(digits, 8 + more)?, more))
}

#[inline(always)]
fn word(text: &[u8; LONGEST], at: usize) -> [u8; 8] {
    let mut word = [0; 8];
    word.copy_from_slice(&text[at..at + 8]);
    word
}

/// The `f64` nearest to `digits / 10^places`, for 1 to 27 places, or `None` where that takes more than
/// 128 bits to say (about one number of 500 with 17 digits).
///
/// Multiplies by a reciprocal rounded down; the product's error bounds decide whether the rounding is
/// certain (the idea of Eisel and Lemire, "Number parsing at a gigabyte per second", 2021). Where it is
/// not, small numbers divide exactly (Clinger 1990).
#[inline(always)]
pub(super) fn decimal(digits: u64, places: usize) -> Option<f64> {
    if digits == 0 {
        return Some(0.0);
    }
    let (reciprocal, exponent) = FIFTHS[places];
    let shift = digits.leading_zeros();
    let high = ((u128::from(digits << shift) * u128::from(reciprocal)) >> 64) as u64;
    let one_more = !high >> 63; // both factors have their highest bit set, the product that one or the next
    let product = high << one_more;
    // the exact product lies in product..product + 4; 53 bits of it are kept, 11 rounded
    let rest = product & 0x7FF;
    if (0x3FD..=0x400).contains(&rest) {
        return (digits < 1 << 53 && places < TENS.len()).then(|| digits as f64 / TENS[places]);
    }
    let kept = (product >> 11) + ((rest + 0x3FF) >> 11);
    let exponent = exponent - u64::from(shift) - one_more;
    Some(f64::from_bits(kept + (exponent << 52))) // the highest kept bit adds 1 to the exponent
}

/// Up to eight decimal digits at the start of eight bytes: their value and how many.
#[inline(always)]
pub(super) fn eight_digits(bytes: [u8; 8]) -> (u64, usize) {
    let values = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() / 8;
    let half = 4 * (8 - count);
    let v = values << half << half; // zeros in front; a shift by all 64 bits at once is none
    let v = v.wrapping_mul(10) + (v >> 8);
    let low = (v & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = ((v >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    (u64::from((low.wrapping_add(high) >> 32) as u32), count as usize)
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
        fn decimals_are_those_of_the_standard_library(digits: u64, shift in 0..64u32, places in 1..28usize) {
            let digits = digits >> shift;
            if let Some(value) = decimal(digits, places) {
                prop_assert_eq!(value, format!("{digits}e-{places}").parse::<f64>().unwrap());
            } else {
                prop_assert!(digits >= 1 << 53 || places > 22);
            }
        }

        #[test]
        fn printed_numbers_come_back(text in "-?[0-9]{1,9}(\\.[0-9]{0,26})?[,ex ]") {
            let mut padded = [b'9'; 64];
            padded[..text.len()].copy_from_slice(text.as_bytes());
            if let Some((value, len)) = plain(padded.first_chunk().unwrap()) {
                prop_assert_eq!(len, text.len() - 1);
                prop_assert_eq!(value.to_bits(), text[..len].parse::<f64>().unwrap().to_bits());
            }
        }

        #[test]
        fn rounded_numbers_are_plain(value in -9_999_999..9_999_999i32, places in 0..8usize) {
            let text = format!("{:.places$}], {:30}", f64::from(value) / POWERS[places] as f64, "");
            let (number, len) = plain(text.as_bytes().first_chunk().unwrap()).unwrap();
            prop_assert_eq!(number, text[..len].parse::<f64>().unwrap());
            prop_assert_eq!(&text[len..len + 1], "]");
        }
    }
}
