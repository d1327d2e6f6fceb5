//! Parameters rounded to the kind of products, kept by the optimizer that changes them.

use std::collections::HashMap;
use tch::Tensor;

/// Copies of parameters in the kind of products, found by the parameter.
#[derive(Debug, Default)]
pub struct NarrowCopies {
    /// By the address of the parameter's numbers.
    copies: HashMap<usize, Tensor>,
}

impl NarrowCopies {
    /// Copies of these parameters, each with its own.
    pub fn new(pairs: impl IntoIterator<Item = (Tensor, Tensor)>) -> Self {
        Self { copies: pairs.into_iter().map(|(parameter, copy)| (address(&parameter), copy)).collect() }
    }

    /// The copy of `parameter`.
    pub fn of(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.copies.get(&address(parameter))
    }

    /// The copies of some matrices of one width, one below the other: without a copy of their own where they lie so in
    /// memory. `None` where one is missing.
    pub fn joined(&self, parameters: &[&Tensor]) -> Option<Tensor> {
        let copies: Vec<&Tensor> = parameters.iter().map(|parameter| self.of(parameter)).collect::<Option<_>>()?;
        if let [copy] = copies[..] {
            return Some(copy.shallow_clone());
        }
        let neighbours = copies.windows(2).all(|pair| address(pair[0]) + bytes(pair[0]) == address(pair[1]));
        if !neighbours {
            return Some(Tensor::cat(&copies, 0));
        }
        let (rows, width) = (copies.iter().map(|copy| copy.size()[0]).sum::<i64>(), copies[0].size()[1]);
        Some(copies[0].as_strided([rows, width], [width, 1], None))
    }
}

fn address(x: &Tensor) -> usize {
    x.data_ptr() as usize
}

fn bytes(x: &Tensor) -> usize {
    x.numel() * x.kind().elt_size_in_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn neighbours_are_not_copied_and_others_are() {
        let masters = [(); 3].map(|()| Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)));
        let flat = Tensor::arange(24, (Kind::Float, Device::Cpu)).to_kind(Kind::BFloat16);
        let part = |start: i64| flat.narrow(0, start, 6).view([2, 3]);
        let parts = [part(0), part(6), part(18)];
        let pairs = masters.iter().zip(&parts).map(|(a, b)| (a.shallow_clone(), b.shallow_clone()));
        let copies = NarrowCopies::new(pairs);
        let joined = copies.joined(&[&masters[0], &masters[1]]).unwrap();
        assert_eq!((joined.size(), joined.data_ptr()), (vec![4, 3], flat.data_ptr()));
        assert_eq!(joined, flat.narrow(0, 0, 12).view([4, 3]));
        let apart = copies.joined(&[&masters[0], &masters[2]]).unwrap();
        assert_eq!(apart, Tensor::cat(&[&parts[0], &parts[2]], 0));
        assert!(apart.data_ptr() != flat.data_ptr());
        assert!(copies.joined(&[&masters[0], &Tensor::zeros([2, 3], (Kind::Float, Device::Cpu))]).is_none());
    }
}
