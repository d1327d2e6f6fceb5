//! Parameters rounded to the kind of products, kept by the optimizer that changes them.

use super::adamw::padded_rows;
use std::collections::HashMap;
use std::sync::Arc;
use tch::Tensor;

/// Copies of parameters in the kind of products, found by the parameter.
#[derive(Debug, Default)]
pub struct NarrowCopies {
    /// By the address of the parameter's numbers.
    copies: Arc<HashMap<usize, Tensor>>,
    /// Rows that there is room for, likewise.
    rooms: Arc<HashMap<usize, i64>>,
}

impl NarrowCopies {
    /// Copies of these parameters, each with its own.
    pub fn new(pairs: impl IntoIterator<Item = (Tensor, Tensor)>) -> Self {
        let copies = pairs.into_iter().map(|(parameter, copy)| (address(&parameter), copy)).collect();
        // Autograd's threads count it up and down.
        #[allow(clippy::arc_with_non_send_sync)]
        Self { copies: Arc::new(copies), rooms: Arc::default() }
    }

    /// The same, where behind each copy of a matrix are zeros for as many rows as [`padded_rows`] says.
    pub fn with_room(pairs: impl IntoIterator<Item = (Tensor, Tensor)>) -> Self {
        let copies = Self::new(pairs);
        let matrices = copies.copies.iter().filter(|(_, copy)| copy.dim() == 2);
        let rooms = matrices.map(|(address, copy)| (*address, padded_rows(copy.size()[0]))).collect();
        Self { rooms: Arc::new(rooms), ..copies }
    }

    /// The same copies once more, for work that outlives the call.
    pub fn share(&self) -> Self {
        Self { copies: self.copies.clone(), rooms: self.rooms.clone() }
    }

    /// The copy of `parameter`.
    pub fn of(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.copies.get(&address(parameter))
    }

    /// The copy of a matrix with rows of zeros behind it up to `rows`, where it lies in a buffer with so much room.
    pub fn with_rows(&self, parameter: &Tensor, rows: i64) -> Option<Tensor> {
        let copy = self.of(parameter)?;
        let width = copy.size()[1];
        let own = self.rooms.get(&address(parameter)).is_some_and(|room| *room >= rows);
        own.then(|| copy.as_strided([rows, width], [width, 1], None))
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
    fn rows_of_zeros_are_there_where_there_is_room() {
        let master = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu));
        let flat = Tensor::arange(16, (Kind::Float, Device::Cpu)).to_kind(Kind::BFloat16);
        let pair = || [(master.shallow_clone(), flat.narrow(0, 0, 6).view([3, 2]))];
        assert_eq!(NarrowCopies::with_room(pair()).with_rows(&master, 8), Some(flat.view([8, 2])));
        assert_eq!(NarrowCopies::with_room(pair()).with_rows(&master, 16), None);
        assert_eq!(NarrowCopies::new(pair()).with_rows(&master, 8), None);
    }

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
