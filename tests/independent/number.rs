//! The numbers that a model is computed in: plain float64, or float64 that carries a derivative along.

use std::ops::{Add, Div, Mul, Sub};

/// What the forward pass asks of a number.
pub trait Number:
    Copy + From<f64> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The number without its derivative.
    fn value(self) -> f64;

    /// A function of this number, given as its value here and its derivative here.
    fn applied(self, value: f64, derivative: f64) -> Self;

    /// e to this power.
    fn exp(self) -> Self {
        self.applied(self.value().exp(), self.value().exp())
    }

    /// The natural logarithm.
    fn ln(self) -> Self {
        self.applied(self.value().ln(), self.value().recip())
    }

    /// The square root.
    fn sqrt(self) -> Self {
        self.applied(self.value().sqrt(), 0.5 / self.value().sqrt())
    }

    /// The number where it is positive, else 0.
    fn relu(self) -> Self {
        if self.value() > 0.0 { self } else { Self::from(0.0) }
    }
}

impl Number for f64 {
    fn value(self) -> f64 {
        self
    }

    fn applied(self, value: f64, _derivative: f64) -> Self {
        value
    }
}

/// A value and its derivative by one chosen weight (a dual number): exact gradients without a backward pass.
#[derive(Clone, Copy)]
pub struct Dual {
    /// The value.
    pub value: f64,
    /// The derivative.
    pub slope: f64,
}

impl From<f64> for Dual {
    fn from(value: f64) -> Self {
        Self { value, slope: 0.0 }
    }
}

impl Number for Dual {
    fn value(self) -> f64 {
        self.value
    }

    fn applied(self, value: f64, derivative: f64) -> Self {
        Self { value, slope: self.slope * derivative }
    }
}

impl Add for Dual {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, slope: self.slope + other.slope }
    }
}

impl Sub for Dual {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { value: self.value - other.value, slope: self.slope - other.slope }
    }
}

impl Mul for Dual {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self { value: self.value * other.value, slope: self.slope * other.value + self.value * other.slope }
    }
}

impl Div for Dual {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        Self { value, slope: (self.slope - value * other.slope) / other.value }
    }
}

/// The nearest bfloat16, ties to the even one.
pub fn bfloat16(value: f64) -> f64 {
    let bits = (value as f32).to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f64::from(f32::from_bits(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dual_number_carries_the_derivative_along() {
        // f(x) = √x · ln x / eˣ + x, whose derivative at 2 a difference of float64 values confirms.
        fn f<S: Number>(x: S) -> S {
            x.sqrt() * x.ln() / x.exp() + x.relu() - S::from(3.0)
        }
        let slope = f(Dual { value: 2.0, slope: 1.0 }).slope;
        let difference = (f(2.0 + 1e-5) - f(2.0 - 1e-5)) / 2e-5;
        assert!((slope - difference).abs() < 1e-9, "{slope} against {difference}");
    }

    #[test]
    fn bfloat16_keeps_eight_bits_and_rounds_ties_to_even() {
        assert_eq!(bfloat16(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(bfloat16(1.0 + 3.0 / 256.0), 1.0 + 4.0 / 256.0);
        assert_eq!(bfloat16(-1.0 - 2.0 / 256.0), -1.0 - 2.0 / 256.0 + 0.0);
    }
}
