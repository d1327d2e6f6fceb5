//! What dropout masks come from: the key of a micro-batch, and the hashes that follow from it.

use super::hashes_by_kernel;
use crate::randomness::{counter_hash, derive, signed};
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

/// A group of places, its numbers of rows and columns, and the hashes of both, int32 `[places, rows + columns]`.
type Hashed = (usize, [i64; 2], Tensor);

/// What the dropout of one micro-batch comes from, in the memory of its device, where a captured step can read it
/// anew. Masks that are computed again follow from the key and a counter; libtorch's own dropout takes its generator.
#[derive(Debug)]
pub struct DropoutKey {
    words: Tensor, // int32 [2]
    places: Option<DropoutStreams>,
    /// What was hashed so far for `places`.
    hashed: Arc<Mutex<Vec<Hashed>>>,
    /// What is dropped is drawn again in the backward pass: from the hash, as a generator would give other draws.
    again: bool,
}

/// The numbers that set the dropout masks of a model's places apart, on its device.
#[derive(Debug, Clone)]
pub struct DropoutStreams {
    groups: Arc<[Group]>,
}

/// Places whose masks have the same shape.
#[derive(Debug)]
struct Group {
    numbers: Vec<u64>,
    words: Tensor, // int32 [places, 2]
}

impl DropoutStreams {
    /// Groups of places with these numbers; the masks of a group have one shape.
    pub fn new(groups: Vec<Vec<u64>>, device: Device) -> Self {
        let group = |numbers: Vec<u64>| {
            let words: Vec<i32> = numbers.iter().copied().flat_map(halves).collect();
            Group { numbers, words: Tensor::from_slice(&words).view([-1, 2]).to_device(device) }
        };
        Self { groups: groups.into_iter().map(group).collect() }
    }

    /// The group of `number` and its place in it.
    fn find(&self, number: u64) -> Option<(usize, usize)> {
        let place = |group: &Group| group.numbers.iter().position(|known| *known == number);
        self.groups.iter().enumerate().find_map(|(i, group)| Some((i, place(group)?)))
    }
}

impl DropoutKey {
    /// The key of micro-batch `micro_batch` of update `step`. libtorch's generators, CPU and CUDA, are set from it.
    pub fn start(seed: u64, step: u64, micro_batch: u64, device: Device) -> Self {
        let key = derive(seed, "dropout", &[step, micro_batch]);
        tch::manual_seed(key as i64);
        Self::of(Tensor::from_slice(&halves(key)).to_device(device))
    }

    /// The key whose lower and upper half lie in `words`, int32 `[2]`, also when they change.
    pub fn of(words: Tensor) -> Self {
        Self { words, places: None, hashed: Arc::default(), again: false }
    }

    /// The same key for one pass through `places`: the hashes of a group are computed together, which on a GPU costs as
    /// many launches as those of one place, and once. The words must not change meanwhile.
    pub fn for_pass(&self, places: &DropoutStreams) -> Self {
        Self { places: Some(places.clone()), ..Self::of(self.words.shallow_clone()) }
    }

    /// The same key for work that outlives the call. What either hashes the other knows: hashes of all places are as large
    /// as a small tensor of each.
    pub fn share(&self) -> Self {
        let (words, hashed) = (self.words.shallow_clone(), self.hashed.clone());
        Self { words, places: self.places.clone(), hashed, again: self.again }
    }

    /// The same key for work that is computed again in the backward pass: what it drops must not come from a generator.
    pub fn drawn_again(self) -> Self {
        Self { again: true, ..self }
    }

    /// Whether a generator may draw in its place.
    pub fn allows_generator(&self) -> bool {
        !self.again
    }

    /// The device of the key, and so of the masks.
    pub fn device(&self) -> Device {
        self.words.device()
    }

    /// Hashes of the numbers of rows and of columns for the masks of place `number`, int32 `[rows]` and `[columns]`.
    pub fn hashes(&self, number: u64, [rows, columns]: [i64; 2]) -> [Tensor; 2] {
        let known = self.places.as_ref().and_then(|places| {
            let (group, place) = places.find(number)?;
            Some(self.of_group(group, &places.groups[group], [rows, columns]).get(place as i64))
        });
        let all = known.unwrap_or_else(|| {
            // Of numbers that the host hands on with a launch: a step that is recorded copies none from its memory.
            let half = |i: usize| self.words.narrow(0, 0, 1).zeros_like().bitwise_or(i64::from(halves(number)[i]));
            self.hash(&Tensor::cat(&[half(0), half(1)], 0).view([1, 2]), [rows, columns]).get(0)
        });
        [all.narrow(0, 0, rows), all.narrow(0, rows, columns)]
    }

    fn of_group(&self, number: usize, group: &Group, counts: [i64; 2]) -> Tensor {
        let mut hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., found)) = hashed.iter().find(|(known, sizes, _)| (*known, *sizes) == (number, counts)) {
            return found.shallow_clone();
        }
        let new = self.hash(&group.words, counts);
        hashed.push((number, counts, new.shallow_clone()));
        new
    }
}

impl DropoutKey {
    fn hash(&self, places: &Tensor, counts: [i64; 2]) -> Tensor {
        let kernel = hashes_by_kernel(&self.words, places, counts);
        kernel.unwrap_or_else(|| hash(places.bitwise_xor_tensor(&self.words), counts))
    }
}

/// For each place the hashes of rows and columns, int32 `[places, rows + columns]`, from `words` `[places, 2]`: key ^
/// place. Counters and words are brought side by side first, so that each hash is computed once for all.
fn hash(words: Tensor, [rows, columns]: [i64; 2]) -> Tensor {
    let words = counter_hash(words);
    let [low, high] = [0, 1].map(|half| words.narrow(1, half, 1));
    let count = |length| Tensor::arange(length, (Kind::Int, words.device()));
    let first = [count(rows).bitwise_xor_tensor(&low), count(columns).bitwise_xor_tensor(&high)];
    let second = [high.expand([-1, rows], false), low.expand([-1, columns], false)];
    counter_hash(counter_hash(Tensor::cat(&first, 1)).g_add_(&Tensor::cat(&second, 1)))
}

/// The lower and the upper half.
fn halves(number: u64) -> [i32; 2] {
    [signed(number as u32), signed((number >> 32) as u32)].map(|half| half as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_together_have_the_hashes_of_each_alone() {
        let numbers = [1, u64::MAX, 0x0123_4567_89ab_cdef];
        let alone = DropoutKey::of(Tensor::from_slice(&[-5i32, 77]));
        let together =
            alone.for_pass(&DropoutStreams::new(vec![numbers[..2].to_vec(), numbers[2..].to_vec()], Device::Cpu));
        for counts in [[12, 5], [7, 9], [12, 5]] {
            for number in numbers.into_iter().chain([3]) {
                assert_eq!(together.hashes(number, counts), alone.hashes(number, counts), "{number}, {counts:?}");
            }
        }
        assert_eq!(together.hashed.lock().unwrap().len(), 4);
    }

    #[test]
    fn the_kernel_hashes_as_plain_operations_do() {
        let places = DropoutStreams::new(vec![vec![3, u64::MAX / 7, 1 << 63]], Device::Cpu);
        let key = DropoutKey::of(Tensor::from_slice(&[-5i32, 77])).for_pass(&places);
        let of_all = || [3, u64::MAX / 7, 1 << 63].map(|number| key.for_pass(&places).hashes(number, [300, 77]));
        assert_eq!(crate::kernels::host::with_kernels(of_all), of_all());
    }

    #[test]
    fn a_pass_reads_the_words_anew() {
        let words = Tensor::from_slice(&[1i32, 2]);
        let (key, places) = (DropoutKey::of(words.shallow_clone()), DropoutStreams::new(vec![vec![4]], Device::Cpu));
        let hashes = || key.for_pass(&places).hashes(4, [3, 3]);
        let before = hashes();
        words.shallow_clone().copy_(&Tensor::from_slice(&[1i32, 3]));
        assert_ne!(hashes(), before);
    }
}
