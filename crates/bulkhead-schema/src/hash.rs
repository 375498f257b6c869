//! Fast hashing by multiplying to 128 bits and folding the halves together.

use std::hash::{BuildHasher, Hasher};

const FACTOR: u64 = 0xa076_1d64_78bd_642f;

/// First states of the lanes of [`checksum`].
const LANES: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xe703_7ed1_a0b4_28db];

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // The two halves together depend on every bit of both factors.
    (product as u64) ^ ((product >> 64) as u64)
}

/// A 64-bit checksum against damage, not against forgery: eight bytes a step, in four lanes that do not wait for each
/// other.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut lanes = LANES;
    let (chunks, rest) = bytes.as_chunks::<32>();
    for chunk in chunks {
        let (words, _) = chunk.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = fold(*lane ^ u64::from_le_bytes(*word), FACTOR).wrapping_add(FACTOR);
        }
    }
    let mut last = [0; 32];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    for (lane, word) in lanes.iter_mut().zip(last.as_chunks::<8>().0) {
        *lane = fold(*lane ^ u64::from_le_bytes(*word), FACTOR).wrapping_add(FACTOR);
    }
    lanes.into_iter().fold(bytes.len() as u64, |state, lane| fold(state ^ lane, FACTOR).wrapping_add(FACTOR))
}

/// Hashes the keys of tables of interned things. Keyed at random per process, so that nobody outside can choose texts
/// that collide.
#[derive(Debug, Clone)]
pub(crate) struct Keyed(u64);

impl Default for Keyed {
    fn default() -> Self {
        Self(std::hash::RandomState::new().hash_one(0) | 1)
    }
}

impl BuildHasher for Keyed {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { key: self.0, state: self.0 }
    }
}

/// One hash of [`Keyed`].
pub(crate) struct KeyedHasher {
    key: u64,
    state: u64,
}

impl Hasher for KeyedHasher {
    fn finish(&self) -> u64 {
        fold(self.state, FACTOR)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.write_u64(u64::from_le_bytes(last) ^ bytes.len() as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.key).wrapping_add(FACTOR);
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn every_byte_and_the_length_count() {
        let bytes: Vec<u8> = (0..=200).collect();
        for length in 0..bytes.len() {
            let whole = checksum(&bytes[..length]);
            assert_ne!(whole, checksum(&[&bytes[..length], &[0]].concat()), "{length}");
            for at in 0..length {
                let mut damaged = bytes[..length].to_vec();
                damaged[at] ^= 1;
                assert_ne!(whole, checksum(&damaged), "{length} {at}");
            }
        }
    }
}
