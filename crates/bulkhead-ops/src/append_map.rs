//! A map that grows behind a shared reference.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, OnceLock, PoisonError};

/// How many values the first chunk holds; each further one holds twice as many as the one before.
const FIRST: usize = 64;
const CHUNKS: usize = 32;

/// Values stay where they are once they have been added, so that what was looked up may be kept while others are added.
pub(crate) struct AppendMap<K, V> {
    places: Mutex<(HashMap<K, usize>, usize)>,
    chunks: [OnceLock<Box<[OnceLock<V>]>>; CHUNKS],
}

impl<K: Hash + Eq, V> AppendMap<K, V> {
    pub(crate) fn new() -> Self {
        Self { places: Mutex::default(), chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let place = *self.places.lock().unwrap_or_else(PoisonError::into_inner).0.get(key)?;
        let (chunk, offset) = split(place);
        self.chunks.get(chunk)?.get()?.get(offset)?.get()
    }

    /// Every key, in order.
    pub(crate) fn keys(&self) -> Vec<K>
    where
        K: Copy + Ord,
    {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<K> = places.0.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// Adds `value`, which from now on is what `key` leads to. Returns whether there was nothing before.
    pub(crate) fn insert(&self, key: K, value: V) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (chunk, offset) = split(places.1);
        let values = self.chunks.get(chunk).map(|chunk| chunk.get_or_init(|| empty(FIRST << chunk_bits(places.1))));
        let set = values.and_then(|values| values.get(offset)).is_some_and(|slot| slot.set(value).is_ok());
        if !set {
            return false;
        }
        let place = places.1;
        places.1 += 1;
        places.0.insert(key, place).is_none()
    }
}

fn empty<V>(length: usize) -> Box<[OnceLock<V>]> {
    std::iter::repeat_with(OnceLock::new).take(length).collect()
}

fn chunk_bits(place: usize) -> usize {
    (place / FIRST + 1).ilog2() as usize
}

/// The chunk of a place, and where in it the place is.
fn split(place: usize) -> (usize, usize) {
    let chunk = chunk_bits(place);
    (chunk, place - FIRST * ((1 << chunk) - 1))
}

#[cfg(test)]
mod tests {
    use super::AppendMap;

    #[test]
    fn values_stay_where_they_are() {
        let map = AppendMap::new();
        assert!(map.insert(0, "0".to_owned()));
        let first = map.get(&0).unwrap();
        (1..10_000).for_each(|key| assert!(map.insert(key, key.to_string())));
        assert_eq!(first, "0");
        assert!((0..10_000).all(|key| map.get(&key).unwrap() == &key.to_string()));
        assert!(!map.insert(7, "new".to_owned()));
        assert_eq!((map.get(&7).unwrap().as_str(), map.get(&10_000)), ("new", None));
    }
}
