//! The kinds of numbers that a precision stands for.

use super::options::Precision;
use tch::Kind;

impl Precision {
    /// The kind of weights, gradients and optimizer state.
    pub fn stored(self) -> Kind {
        if self == Precision::Fp64 { Kind::Double } else { Kind::Float }
    }

    /// The kind of products.
    pub fn compute(self) -> Kind {
        if self == Precision::Bf16 { Kind::BFloat16 } else { self.stored() }
    }

    /// Bytes of a stored number.
    pub fn bytes(self) -> u64 {
        if self == Precision::Fp64 { 8 } else { 4 }
    }

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
            Precision::Fp64 => "fp64",
        }
    }
}
