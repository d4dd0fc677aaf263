//! Generators keyed by what they are for, so that no draw depends on an earlier one.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The generator of trial `number` of a search with `seed`, for one `purpose` (a parameter's name, as a rule).
pub(crate) fn keyed(seed: u64, number: u64, purpose: &str) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&number.to_le_bytes());
    key[16..24].copy_from_slice(&fnv1a(purpose).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// The 64-bit FNV-1a hash of `text`.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
