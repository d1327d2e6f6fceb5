//! Algorithms that were chosen by timing, in the folder of what is kept for a card: the same machine takes the same ones
//! the next time, to the same bits.

use super::header::Algorithm;
use super::problem::Problem;
use crate::kernels::cache;

/// Of what is kept and how it was chosen; another one finds nothing of this one's.
const FORMAT: &str = "products 1";

/// Where the choice for this problem is kept.
pub fn file(card: &str, version: &str, problem: &Problem) -> String {
    cache::file(&[FORMAT, card, version, &format!("{problem:?}")], "product")
}

/// The choice, where one is kept. It is cuBLASLt that can tell whether it means something.
pub fn read(file: &str) -> Option<Algorithm> {
    decode(&cache::read(file)?)
}

/// Keeps it.
pub fn write(file: &str, algorithm: &Algorithm) {
    cache::write(file, &encode(algorithm));
}

fn encode(algorithm: &Algorithm) -> Vec<u8> {
    algorithm.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Option<Algorithm> {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|&word| u64::from_le_bytes(word)).collect();
    Algorithm::try_from(words).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn an_algorithm_comes_back_and_nothing_else_does() {
        let algorithm: Algorithm = [1, u64::MAX, 3, 0, 5, 6 << 40, 7, 8];
        let bytes = encode(&algorithm);
        assert_eq!(decode(&bytes), Some(algorithm));
        for other in [&bytes[..63], &bytes[..56], &[&bytes[..], b"x"].concat(), b""] {
            assert_eq!(decode(other), None);
        }
    }

    #[test]
    fn each_card_version_and_problem_has_its_own() {
        let tensor = |shape: &[i64]| Tensor::empty(shape, (Kind::BFloat16, Device::Cpu));
        let (a, b, out) = (tensor(&[8, 4]), tensor(&[4, 8]), tensor(&[8, 8]));
        let problem = |adds: bool| Problem::of(&out, [&a, &b], adds, None).unwrap();
        let names = [
            file("one card", "13.1.0", &problem(false)),
            file("another", "13.1.0", &problem(false)),
            file("one card", "13.2.0", &problem(false)),
            file("one card", "13.1.0", &problem(true)),
        ];
        for (i, name) in names.iter().enumerate() {
            assert!(!names[..i].contains(name));
        }
        assert_eq!(names[0], file("one card", "13.1.0", &problem(false)));
    }
}
