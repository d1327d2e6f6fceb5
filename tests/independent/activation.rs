//! The functions between the two projections of a feed-forward layer.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

use crate::number::Number;

/// `model.activation`.
#[derive(Clone, Copy)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// By the error function.
    Gelu,
    /// By tanh.
    GeluTanh,
    /// x / (1 + e⁻ˣ) of a gate, which multiplies the hidden layer (arXiv 2002.05202).
    Swiglu,
}

impl Activation {
    /// That of a documented name.
    pub fn named(name: &str) -> Self {
        match name {
            "relu" => Self::Relu,
            "gelu" => Self::Gelu,
            "gelu-tanh" => Self::GeluTanh,
            "swiglu" => Self::Swiglu,
            name => panic!("a documented activation, found {name}"),
        }
    }

    /// Whether it is a gate's function.
    pub fn gated(self) -> bool {
        matches!(self, Self::Swiglu)
    }

    /// The function's value.
    pub fn of<S: Number>(self, x: S) -> S {
        let [half, one] = [0.5, 1.0].map(S::from);
        match self {
            Self::Relu => x.relu(),
            Self::Gelu => x * (one + erf(x * S::from(FRAC_1_SQRT_2))) * half,
            Self::GeluTanh => {
                let inner = (x + S::from(0.044715) * x * x * x) * S::from(FRAC_2_PI.sqrt());
                x * (one + inner.applied(inner.value().tanh(), inner.value().cosh().powi(-2))) * half
            }
            Self::Swiglu => x / (one + (S::from(0.0) - x).exp()),
        }
    }
}

fn erf<S: Number>(x: S) -> S {
    x.applied(error_function(x.value()), FRAC_2_SQRT_PI * (-x.value() * x.value()).exp())
}

/// 2/√π · exp(−x²) · Σ 2ⁿ·x²ⁿ⁺¹ / (1·3·…·(2n + 1)), whose terms all have one sign.
fn error_function(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut odd) = (x, 0.0, 1.0);
    while sum + term != sum {
        sum += term;
        odd += 2.0;
        term *= 2.0 * x * x / odd;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Dual;

    #[test]
    fn the_error_function_has_its_known_values() {
        for (x, expected) in
            [(0.5, 0.520_499_877_813_046_5), (-1.0, -0.842_700_792_949_714_9), (3.0, 0.999_977_909_503_001_4)]
        {
            assert!((error_function(x) - expected).abs() < 1e-15, "erf({x}) is {}", error_function(x));
        }
        assert_eq!([error_function(0.0), error_function(9.0)], [0.0, 1.0]);
    }

    #[test]
    fn a_gate_lets_a_share_through_that_grows_with_it() {
        let share = |x: f64| Activation::Swiglu.of(x) / x;
        assert!((share(3f64.ln()) - 0.75).abs() < 1e-15 && (share(-3f64.ln()) - 0.25).abs() < 1e-15);
        assert_eq!(Activation::Swiglu.of(0.0), 0.0);
    }

    #[test]
    fn the_slopes_are_those_of_the_functions() {
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Swiglu] {
            for x in [-3.0, -0.4, 0.7, 2.5] {
                let slope = activation.of(Dual { value: x, slope: 1.0 }).slope;
                let difference = (activation.of(x + 1e-5) - activation.of(x - 1e-5)) / 2e-5;
                assert!((slope - difference).abs() < 1e-9, "at {x}: {slope} against {difference}");
            }
        }
    }
}
