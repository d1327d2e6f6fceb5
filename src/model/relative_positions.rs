//! T5's relative positions (arXiv 1910.10683, section 2.1): a trained number for each head and bucket of distances is
//! added to the scores, the same in every layer, outside of a mixture's weights.

use super::options::ModelOptions;
use crate::parameters::{Init, Role, Scope};
use tch::Tensor;

/// Standard deviation of the numbers at the start.
const START_STD: f64 = 0.02;

/// The numbers, and which of them each distance takes.
pub struct RelativePositions {
    table: Tensor, // [buckets, heads]
    /// Row `max_length − 1 + key − query` has its 1 at the bucket of that distance: `[2 · max_length − 1, buckets]`.
    chosen: Tensor,
    max_length: i64,
}

impl RelativePositions {
    /// The tensor `relative_positions.weight` below `scope`, for causal attention.
    pub fn causal(scope: &mut Scope<'_>, model: &ModelOptions) -> Self {
        Self::new(scope, model, |offset, buckets, longest| causal_bucket(-offset, buckets, longest))
    }

    /// The same for attention that sees keys on both sides of a query.
    pub fn bidirectional(scope: &mut Scope<'_>, model: &ModelOptions) -> Self {
        Self::new(scope, model, bidirectional_bucket)
    }

    /// `bucket` of key − query, number of buckets and longest distance.
    fn new(scope: &mut Scope<'_>, model: &ModelOptions, bucket: fn(i64, i64, i64) -> i64) -> Self {
        let (buckets, max_length) = (model.relative_buckets, model.max_length);
        let mut scope = scope.enter("relative_positions").with_role(Role::Attention);
        let table = scope.tensor("weight", &[buckets, model.heads], Init::Normal(START_STD));
        let of_offsets: Vec<i64> =
            (1 - max_length..max_length).map(|offset| bucket(offset, buckets, model.relative_distance)).collect();
        let chosen = Tensor::from_slice(&of_offsets).one_hot(buckets).to_kind(table.kind()).to_device(table.device());
        Self { table, chosen, max_length }
    }

    /// Number of parameters.
    pub fn parameters(model: &ModelOptions) -> u128 {
        (model.relative_buckets as u128).saturating_mul(model.heads as u128)
    }

    /// What is added to the scores of `n` queries, the first of which stands at position `first`, over the first `m` keys:
    /// `[1, heads, n, m]`.
    ///
    /// The backward pass adds in a fixed order, too.
    pub fn bias(&self, first: i64, n: i64, m: i64) -> Tensor {
        // Entry n − 1 + key − (query − first) of `by_offset` is that of the pair.
        let start = self.max_length - first - n;
        let by_offset = self.chosen.narrow(0, start, n + m - 1).matmul(&self.table).tr(); // [heads, n + m − 1]
        skewed(&by_offset, n, m).unsqueeze(0)
    }
}

/// `[heads, n + m − 1]` to `[heads, n, m]`: entry (i, j) is number n − 1 − i + j.
///
/// Rows of n + m − 1 numbers that are read as rows of n + m move on by one entry each.
fn skewed(by_offset: &Tensor, n: i64, m: i64) -> Tensor {
    let [heads, width] = [by_offset.size()[0], n + m - 1];
    let rows = by_offset.unsqueeze(1).expand([heads, n, width], false).reshape([heads, n * width]);
    let moved = rows.constant_pad_nd([0, n]).view([heads, n, width + 1]).narrow(2, 0, m);
    // Row i begins at number i; the last of them belongs to the first query.
    moved.flip([1])
}

/// The bucket of the key `distance` before the query: each of the nearer half of buckets is one distance, the others grow
/// with its logarithm up to `longest`. Keys after the query, which a causal mask hides, are in the first.
fn causal_bucket(distance: i64, buckets: i64, longest: i64) -> i64 {
    let near = buckets / 2;
    let distance = distance.max(0);
    if distance < near {
        return distance;
    }
    let share = (distance as f64 / near as f64).ln() / (longest as f64 / near as f64).ln();
    // Where the exact number is whole the quotient may be a little less.
    (near + (share * (buckets - near) as f64 + 1e-9) as i64).min(buckets - 1)
}

/// The bucket of the key `offset` after the query: one half of the buckets is for the query's own position and those
/// before it, the other for those after it; within each as [`causal_bucket`]. Of an odd number the last is left over.
fn bidirectional_bucket(offset: i64, buckets: i64, longest: i64) -> i64 {
    let half = buckets / 2;
    let after = if offset > 0 { half } else { 0 };
    after + causal_bucket(offset.abs(), half, longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters;
    use tch::{Device, Kind};

    /// `_relative_position_bucket` of T5 in Hugging Face's transformers, with `bidirectional=False` and the defaults 32 and
    /// 128, worked out from its formula for these distances.
    #[test]
    fn buckets_are_those_of_t5() {
        let distances = [
            -3, 0, 1, 15, 16, 17, 18, 19, 20, 21, 23, 24, 26, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113, 128, 999,
        ];
        let buckets =
            [0, 0, 1, 15, 16, 16, 16, 17, 17, 18, 18, 19, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 31, 31];
        assert_eq!(distances.map(|distance| causal_bucket(distance, 32, 128)), buckets);
        assert_eq!([9, 10, 159, 160].map(|distance| causal_bucket(distance, 10, 160)), [5, 6, 9, 9]);
        assert_eq!([0, 1, 2, 3, 4, 8, 50].map(|distance| causal_bucket(distance, 4, 8)), [0, 1, 2, 2, 3, 3, 3]);
    }

    /// The same with `bidirectional=True`, for these key − query.
    #[test]
    fn buckets_on_both_sides_are_those_of_t5() {
        let offsets = [
            -999, -128, -127, -91, -90, -64, -46, -45, -32, -23, -22, -16, -12, -11, -8, -7, -1, 0, 1, 7, 8, 11, 12,
            15, 16, 22, 23, 31, 32, 45, 46, 63, 64, 90, 91, 128, 999,
        ];
        let buckets = [
            15, 15, 15, 15, 14, 14, 13, 12, 12, 11, 10, 10, 9, 8, 8, 7, 1, 0, 17, 23, 24, 24, 25, 25, 26, 26, 27, 27,
            28, 28, 29, 29, 30, 30, 31, 31, 31,
        ];
        assert_eq!(offsets.map(|offset| bidirectional_bucket(offset, 32, 128)), buckets);
        let offsets = [-50, -8, -4, -3, -2, -1, 0, 1, 2, 3, 4, 8, 50];
        for buckets in [8, 9] {
            let found = offsets.map(|offset| bidirectional_bucket(offset, buckets, 8));
            assert_eq!(found, [3, 3, 3, 2, 2, 1, 0, 5, 6, 6, 7, 7, 7], "{buckets}");
        }
        let found = offsets.map(|offset| bidirectional_bucket(offset, 4, 8));
        assert_eq!(found, [1, 1, 1, 1, 1, 1, 0, 3, 3, 3, 3, 3, 3]);
    }

    fn positions() -> (Parameters, RelativePositions) {
        let model =
            ModelOptions { heads: 3, max_length: 9, relative_buckets: 6, relative_distance: 8, ..Default::default() };
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
        let positions = RelativePositions::causal(&mut parameters.root(), &model);
        (parameters, positions)
    }

    #[test]
    fn every_pair_has_the_number_of_its_distance() {
        let (_parameters, positions) = positions();
        for (first, n, m) in [(0, 9, 9), (0, 4, 4), (0, 1, 1), (5, 1, 6), (3, 4, 7), (8, 1, 9)] {
            let bias = positions.bias(first, n, m);
            assert_eq!(bias.size(), [1, 3, n, m]);
            for (head, query, key) in (0..3).flat_map(|h| (0..n).flat_map(move |q| (0..m).map(move |k| (h, q, k)))) {
                let bucket = causal_bucket(first + query - key, 6, 8);
                let expected = positions.table.double_value(&[bucket, head]);
                assert_eq!(bias.double_value(&[0, head, query, key]), expected, "{head} {query} {key} from {first}");
            }
        }
    }

    #[test]
    fn on_both_sides_every_pair_has_the_number_of_its_offset() {
        let model =
            ModelOptions { heads: 2, max_length: 9, relative_buckets: 6, relative_distance: 8, ..Default::default() };
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
        let positions = RelativePositions::bidirectional(&mut parameters.root(), &model);
        let bias = positions.bias(0, 7, 7);
        for (head, query, key) in (0..2).flat_map(|h| (0..7).flat_map(move |q| (0..7).map(move |k| (h, q, k)))) {
            let expected = positions.table.double_value(&[bidirectional_bucket(key - query, 6, 8), head]);
            assert_eq!(bias.double_value(&[0, head, query, key]), expected, "{head} {query} {key}");
        }
    }

    #[test]
    fn each_number_collects_the_gradients_of_its_pairs() {
        let (_parameters, positions) = positions();
        let upstream = Tensor::arange(3 * 5 * 5, (Kind::Double, Device::Cpu)).view([1, 3, 5, 5]);
        (positions.bias(0, 5, 5) * &upstream).sum(Kind::Double).backward();
        let mut expected = vec![vec![0.0; 3]; 6];
        for (head, query, key) in (0..3).flat_map(|h| (0..5).flat_map(move |q| (0..5).map(move |k| (h, q, k)))) {
            expected[causal_bucket(query - key, 6, 8) as usize][head as usize] +=
                upstream.double_value(&[0, head, query, key]);
        }
        assert_eq!(Vec::<Vec<f64>>::try_from(positions.table.grad()).unwrap(), expected);
    }
}
