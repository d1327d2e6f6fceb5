//! Numbers that remember what they were computed from (reverse mode): the derivatives by all weights from one pass
//! back over everything computed on this thread.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Sub};

use crate::number::Number;

thread_local! {
    static TAPE: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// The numbers that one was computed from, by their places, and its derivative by each.
type Entry = [(u32, f64); 2];

/// The place of numbers that depend on nothing.
const CONSTANT: u32 = u32::MAX;

/// A value, and its place on the tape.
#[derive(Clone, Copy)]
pub struct Traced {
    value: f64,
    place: u32,
}

impl Traced {
    /// A number that derivatives are taken by.
    pub fn weight(value: f64) -> Self {
        Self::recorded(value, [(CONSTANT, 0.0); 2])
    }

    fn computed(value: f64, from: Entry) -> Self {
        let constant = from.iter().all(|(place, _)| *place == CONSTANT);
        if constant { Self::from(value) } else { Self::recorded(value, from) }
    }

    fn recorded(value: f64, from: Entry) -> Self {
        TAPE.with_borrow_mut(|tape| {
            tape.push(from);
            Self { value, place: u32::try_from(tape.len() - 1).expect("a tape of a tiny model") }
        })
    }
}

/// Empties this thread's tape: numbers from before have no place on it.
pub fn rewind() {
    TAPE.with_borrow_mut(Vec::clear);
}

/// The derivatives of a number by others.
pub struct Derivatives(Vec<f64>);

impl Derivatives {
    /// Those of a number that was computed since the tape was emptied.
    pub fn of(result: Traced) -> Self {
        TAPE.with_borrow(|tape| {
            let mut derivatives = vec![0.0; tape.len()];
            if result.place != CONSTANT {
                derivatives[result.place as usize] = 1.0;
            }
            for (place, from) in tape.iter().enumerate().rev() {
                let derivative = derivatives[place];
                for (source, slope) in from.iter().filter(|(source, _)| *source != CONSTANT) {
                    derivatives[*source as usize] += derivative * slope;
                }
            }
            Self(derivatives)
        })
    }

    /// That by a weight.
    pub fn by(&self, weight: &Traced) -> f64 {
        self.0[weight.place as usize]
    }
}

impl From<f64> for Traced {
    fn from(value: f64) -> Self {
        Self { value, place: CONSTANT }
    }
}

impl Number for Traced {
    fn value(self) -> f64 {
        self.value
    }

    fn applied(self, value: f64, derivative: f64) -> Self {
        Self::computed(value, [(self.place, derivative), (CONSTANT, 0.0)])
    }
}

impl Add for Traced {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::computed(self.value + other.value, [(self.place, 1.0), (other.place, 1.0)])
    }
}

impl Sub for Traced {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::computed(self.value - other.value, [(self.place, 1.0), (other.place, -1.0)])
    }
}

impl Mul for Traced {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self::computed(self.value * other.value, [(self.place, other.value), (other.place, self.value)])
    }
}

impl Div for Traced {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        Self::computed(value, [(self.place, other.value.recip()), (other.place, -value / other.value)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Dual;

    /// Uses each operation, x more than once, and constants on either side.
    fn function<S: Number>([x, y]: [S; 2]) -> S {
        let part = (x * y).exp() / (S::from(2.0) + y.sqrt()) - x.relu();
        part * part + (part * part + S::from(1.0)).ln() * x
    }

    #[test]
    fn one_pass_back_gives_what_a_pass_forward_per_weight_gives() {
        let point = [0.7, 1.3];
        rewind();
        let weights = point.map(Traced::weight);
        let derivatives = Derivatives::of(function(weights));
        for (index, weight) in weights.iter().enumerate() {
            let dual = |other: usize| Dual { value: point[other], slope: f64::from(u8::from(other == index)) };
            let [slope, ours] = [function([dual(0), dual(1)]).slope, derivatives.by(weight)];
            assert!((slope - ours).abs() < 1e-14, "by weight {index}: {slope} against {ours}");
        }
    }

    #[test]
    fn what_depends_on_no_weight_has_no_derivative() {
        rewind();
        let weight = Traced::weight(3.0);
        let constant = Traced::from(2.0) * Traced::from(5.0);
        assert_eq!(constant.value(), 10.0);
        assert_eq!(Derivatives::of(constant).by(&weight), 0.0);
    }
}
