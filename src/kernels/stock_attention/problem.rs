//! What the choice of a kernel depends on.

use super::Settings;
use tch::Tensor;

/// Attention as far as its speed follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: i64,
    pub heads: i64,
    /// N and M.
    pub queries: i64,
    pub keys: i64,
    pub query_width: i64,
    pub value_width: i64,
    pub causal: bool,
    /// Whether weights are dropped, with whatever probability.
    pub drops: bool,
    /// Whether a backward pass follows.
    pub training: bool,
}

impl Problem {
    /// Of `[q, k, v]`, each `[batch, heads, length, width]`.
    pub fn of([q, k, v]: &[Tensor; 3], settings: Settings) -> Self {
        let [batch, heads, queries, query_width] = q.size()[..] else { unreachable!("operands have four axes") };
        Self {
            batch,
            heads,
            queries,
            keys: k.size()[2],
            query_width,
            value_width: v.size()[3],
            causal: settings.causal,
            drops: settings.dropout > 0.0,
            training: settings.training,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn everything_but_scale_and_probability_makes_another_problem() {
        let plain = Settings { dropout: 0.1, causal: true, scale: 0.125, training: true };
        let of = |[batch, heads, n, m, w, v]: [i64; 6], settings: Settings| {
            let tensor =
                |length: i64, width: i64| Tensor::empty([batch, heads, length, width], (Kind::BFloat16, Device::Cpu));
            Problem::of(&[tensor(n, w), tensor(m, w), tensor(m, v)], settings)
        };
        let sizes = [3, 2, 5, 7, 24, 16];
        let first = of(sizes, plain);
        let mut others: Vec<Problem> = (0..6)
            .map(|place| {
                let mut sizes = sizes;
                sizes[place] += 1;
                of(sizes, plain)
            })
            .collect();
        others.push(of(sizes, Settings { causal: false, ..plain }));
        others.push(of(sizes, Settings { dropout: 0.0, ..plain }));
        others.push(of(sizes, Settings { training: false, ..plain }));
        for (i, other) in others.iter().enumerate() {
            assert!(*other != first && !others[..i].contains(other), "{other:?}");
        }
        assert_eq!(of(sizes, Settings { dropout: 0.2, scale: 1.0, ..plain }), first);
    }
}
