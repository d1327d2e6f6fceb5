use super::*;
use crate::randomness::{derive, lock_generator_for_test};
use tch::{Device, Kind, Tensor};

const SEED: u64 = 7;
const LAYER: u64 = 0x0123_4567_89ab_cdef;

fn key(step: u64, micro_batch: u64) -> DropoutKey {
    let _turn = lock_generator_for_test();
    DropoutKey::start(SEED, step, micro_batch, Device::Cpu)
}

fn draws(probability: f64, key: &DropoutKey, layer: u64, axes: (i64, i64), lengths: (i64, i64)) -> Draws {
    Dropout::new(probability, key, layer).draws(axes, lengths).unwrap()
}

/// 4,194,304 draws as 0 and 1, `[batch, heads, N, M]`.
fn mask(probability: f64, key: &DropoutKey, layer: u64) -> Tensor {
    draws(probability, key, layer, (4, 4), (512, 512)).dropped(&(0..512), 512).to_kind(Kind::Double)
}

/// One draw in 32-bit integers, as `docs/formats.md` states it.
fn reference(probability: f64, [low, high]: [u32; 2], layer: u64, row: u32, column: u32) -> bool {
    let hash = |mut x: u32| {
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        x ^ (x >> 16)
    };
    let (low, high) = (hash(low ^ layer as u32), hash(high ^ (layer >> 32) as u32));
    let row = hash(hash(row ^ low).wrapping_add(high));
    let column = hash(hash(column ^ high).wrapping_add(low));
    let mut x = (row ^ column).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    // As a signed number, against a threshold that is shifted alike.
    ((x ^ 0x8000_0000) as f64) < (probability * 2f64.powi(32)).round()
}

#[test]
fn masks_equal_the_scalar_reference() {
    for (step, micro_batch) in [(1, 0), (1_000_000, 3)] {
        let word = derive(SEED, "dropout", &[step, micro_batch]);
        let words = [word as u32, (word >> 32) as u32];
        for probability in [0.01, 0.1, 0.5, 0.99] {
            for layer in [0, 1, LAYER, u64::MAX] {
                let (batch, heads, n, m) = (2, 3, 5, 7);
                let found = draws(probability, &key(step, micro_batch), layer, (batch, heads), (n, m));
                let found = Vec::<bool>::try_from(found.dropped(&(0..n), m).view([-1])).unwrap();
                let rows =
                    (0..(batch * heads * n) as u32).flat_map(|row| (0..m as u32).map(move |column| (row, column)));
                let expected: Vec<bool> =
                    rows.map(|(row, column)| reference(probability, words, layer, row, column)).collect();
                assert_eq!(found, expected, "probability {probability}, layer {layer}, step {step}");
            }
        }
    }
}

#[test]
fn a_block_has_the_draws_of_the_whole() {
    let (key, n, m) = (key(3, 1), 37, 53);
    let all = draws(0.3, &key, LAYER, (2, 3), (n, m));
    let whole = all.dropped(&(0..n), m);
    for (rows, keys) in [(0..n, m), (0..1, 1), (5..9, m), (36..37, 17), (10..37, 52)] {
        let expected = whole.narrow(2, rows.start, rows.end - rows.start).narrow(3, 0, keys);
        assert_eq!(all.dropped(&rows, keys), expected, "{rows:?}, {keys} keys");
    }
    // Fewer keys than there are positions, as a causal block sees, change no draw either.
    let fewer = draws(0.3, &key, LAYER, (2, 3), (n, 20)).dropped(&(0..n), 20);
    assert_eq!(fewer, whole.narrow(3, 0, 20));
}

#[test]
fn nothing_is_drawn_where_nothing_is_dropped() {
    let key = key(1, 1);
    assert!(Dropout::NONE.draws((1, 1), (4, 4)).is_none());
    assert!(Dropout::new(0.0, &key, 1).draws((1, 1), (4, 4)).is_none());
    assert_eq!((Dropout::NONE.probability(), Dropout::NONE.scale()), (0.0, 1.0));
    assert_eq!((Dropout::new(0.75, &key, 1).probability(), Dropout::new(0.75, &key, 1).scale()), (0.75, 4.0));
}

#[test]
fn the_rate_is_the_probability() {
    for probability in [0.01, 0.1, 0.5, 0.9] {
        let mask = mask(probability, &key(1, 0), LAYER);
        let variance = probability * (1.0 - probability);
        let error = (variance / mask.numel() as f64).sqrt();
        let rate = mask.mean(Kind::Double).double_value(&[]);
        assert!((rate - probability).abs() < 3.0 * error, "{probability}: {rate} ± {error}");
        // No row and no column is drawn less often than chance lets it.
        let rows = mask.view([-1, 512]);
        for (axis, draws) in [(1i64, 512.0), (0, 8192.0)] {
            let means = rows.mean_dim([axis].as_slice(), false, Kind::Double);
            let spread = means.var(true).double_value(&[]) * draws / variance;
            let error = (2.0 / (means.numel() as f64 - 1.0)).sqrt();
            assert!((spread - 1.0).abs() < 3.0 * error, "{probability}, along axis {axis}: {spread} ± {error}");
        }
    }
}

#[test]
fn neighbours_are_not_correlated() {
    for probability in [0.1, 0.5] {
        let first = mask(probability, &key(1, 0), LAYER);
        let correlation = |what: &str, a: &Tensor, b: &Tensor| {
            let variance = probability * (1.0 - probability);
            let product = (a - probability) * (b - probability);
            let found = product.mean(Kind::Double).double_value(&[]) / variance;
            let error = (product.numel() as f64).powf(-0.5);
            assert!(found.abs() < 3.0 * error, "{probability}, {what}: {found} ± {error}");
        };
        for (axis, what) in ["samples", "heads", "rows", "columns"].into_iter().enumerate() {
            let length = first.size()[axis] - 1;
            correlation(what, &first.narrow(axis as i64, 0, length), &first.narrow(axis as i64, 1, length));
        }
        // Queries of the first half by keys of the second, and the reverse: i and j exchanged.
        let quarter = |row, column| first.narrow(2, row, 256).narrow(3, column, 256);
        correlation("i and j exchanged", &quarter(0, 256), &quarter(256, 0).transpose(2, 3));
        for (what, other) in [
            ("layers", mask(probability, &key(1, 0), LAYER + 1)),
            ("layers, high half", mask(probability, &key(1, 0), LAYER + (1 << 32))),
            ("steps", mask(probability, &key(2, 0), LAYER)),
            ("micro-batches", mask(probability, &key(1, 1), LAYER)),
        ] {
            correlation(what, &first, &other);
        }
    }
}

#[test]
fn clearing_in_one_pass_equals_the_mask() {
    let (key, n, m) = (key(4, 2), 37, 53);
    let draws = draws(0.3, &key, LAYER, (2, 3), (n, m));
    for (rows, keys, batch) in [(0..n, m, 2), (0..1, 1, 2), (5..9, 20, 2), (5..9, 20, 6)] {
        let mask = draws.dropped(&rows, keys).repeat([batch / 2, 1, 1, 1]);
        for kind in [Kind::Float, Kind::Double] {
            let x = Tensor::arange(mask.numel() as i64, (kind, Device::Cpu)).view_as(&mask) + 1.0;
            let expected = x.masked_fill(&mask, 0.0);
            let block = draws.block(&rows, keys);
            assert_eq!(block.clear(&x), expected, "{rows:?}, {keys} keys, {kind:?}");
            assert_eq!(block.clear(&x.transpose(0, 1).contiguous().transpose(0, 1)), expected, "other strides");
            let mut x = x;
            block.clear_(&mut x);
            assert_eq!(x, expected, "in place");
        }
    }
}

#[test]
fn hashes_of_another_shape_are_refused() {
    let key = key(1, 1);
    let block = draws(0.3, &key, LAYER, (2, 3), (4, 5)).block(&(0..4), 5);
    let x = Tensor::ones([1, 3, 4, 5], (Kind::Float, Device::Cpu));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| block.clear(&x))).is_err());
}
