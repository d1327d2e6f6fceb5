use super::*;
use tch::Reduction;

/// Inputs, table and targets drawn from `seed`; every `ignored`-th target is none.
struct Case {
    x: Tensor,
    table: Tensor,
    targets: Tensor,
}

impl Case {
    fn new(seed: i64, (tokens, d_model, vocabulary): (i64, i64, i64), ignored: i64) -> Self {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(seed);
        let normal = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let drawn = Tensor::randint(vocabulary, [tokens], (Kind::Int64, Device::Cpu));
        let none = Tensor::arange(tokens, (Kind::Int64, Device::Cpu)).remainder(ignored).eq(0);
        Self {
            x: normal([tokens, d_model]),
            table: normal([vocabulary, d_model]),
            targets: drawn.masked_fill(&none, -100),
        }
    }

    fn on(&self, device: Device, kind: Kind) -> Self {
        let leaf = |x: &Tensor| x.detach().to_device(device).to_kind(kind).set_requires_grad(true);
        Self { x: leaf(&self.x), table: leaf(&self.table), targets: self.targets.to_device(device) }
    }

    fn logits(&self) -> Tensor {
        self.x.mm(&self.table.tr())
    }

    /// The loss in plain operations.
    fn reference(&self) -> Tensor {
        self.logits().cross_entropy_loss(&self.targets, None::<&Tensor>, Reduction::Sum, -100, 0.0)
    }

    fn loss(&self, compute: Kind, rows: i64) -> Tensor {
        let Loss { objective, nats } = self.losses(Objective::default(), compute, rows);
        assert_eq!(objective, nats);
        objective
    }

    fn losses(&self, objective: Objective, compute: Kind, rows: i64) -> Loss {
        let pass = Pass::evaluation(compute);
        loss_in_chunks((&self.x, &self.table, &self.targets), objective, pass, rows).unwrap()
    }

    /// What is minimised, as its definition says it.
    fn reference_of(&self, Objective { smoothing, z_loss }: Objective) -> Tensor {
        let logits = self.logits();
        let lse = logits.logsumexp([-1i64].as_slice(), false);
        let target = logits.gather(1, &self.targets.clamp_min(0).unsqueeze(1), false).squeeze_dim(1);
        let mean = logits.mean_dim([-1i64].as_slice(), false, None::<Kind>);
        let of_rows = (&lse - target) * (1.0 - smoothing) + (&lse - mean) * smoothing + lse.square() * z_loss;
        of_rows.masked_fill(&self.targets.less(0), 0.0).sum(None::<Kind>)
    }

    /// The loss and the gradients of x and the table for `loss` times 0.7, in float64.
    fn gradients(&self, loss: Tensor) -> [Tensor; 3] {
        (&loss * 0.7).backward();
        let [x, table] = [&self.x, &self.table].map(|leaf| {
            let mut leaf = leaf.shallow_clone();
            let gradient = leaf.grad().copy().to_device(Device::Cpu).to_kind(Kind::Double);
            leaf.zero_grad();
            gradient
        });
        [loss.detach().to_device(Device::Cpu).to_kind(Kind::Double), x, table]
    }
}

/// The largest difference over the largest entry.
fn gap(found: &Tensor, expected: &Tensor) -> f64 {
    let largest = |x: &Tensor| x.abs().max().double_value(&[]);
    largest(&(found - expected)) / largest(expected).max(1.0)
}

#[test]
fn chunks_of_any_size_equal_the_whole() {
    for (seed, shape) in [(1, (37, 5, 11)), (2, (64, 8, 3)), (3, (1, 4, 7)), (4, (130, 3, 129))] {
        for ignored in [1000, 5, 1] {
            let case = Case::new(seed, shape, ignored);
            let expected = case.gradients(case.reference());
            for rows in [1, 7, 64, 65, 1000] {
                let found = case.gradients(case.loss(Kind::Double, rows));
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let gap = gap(found, expected);
                    assert!(gap < 1e-12, "{shape:?}, every {ignored}th ignored, {rows} rows, tensor {i}: {gap:e}");
                }
            }
        }
    }
}

/// Plain, and others.
const OBJECTIVES: [Objective; 4] = [
    Objective { smoothing: 0.0, z_loss: 0.0 },
    Objective { smoothing: 0.1, z_loss: 0.0 },
    Objective { smoothing: 0.0, z_loss: 1e-2 },
    Objective { smoothing: 0.3, z_loss: 1e-1 },
];

#[test]
fn objectives_in_chunks_are_what_they_are_defined_as() {
    for objective in OBJECTIVES {
        for (seed, shape, ignored) in [(21, (37, 5, 11), 5), (22, (64, 8, 3), 1000), (23, (5, 4, 7), 1)] {
            let case = Case::new(seed, shape, ignored);
            let nats = case.reference().detach();
            let expected = case.gradients(case.reference_of(objective));
            for rows in [1, 7, 64, 1000] {
                let Loss { objective: found, nats: plain } = case.losses(objective, Kind::Double, rows);
                assert!(gap(&plain, &nats) < 1e-12 && !plain.requires_grad(), "{objective:?}");
                for (i, (found, expected)) in case.gradients(found).iter().zip(&expected).enumerate() {
                    let gap = gap(found, expected);
                    assert!(gap < 1e-12, "{objective:?}, {shape:?}, {rows} rows, tensor {i}: {gap:e}");
                }
            }
        }
    }
}

/// As [`check_rounding`], of every objective.
fn check_objectives(device: Device, compute: Kind, allowed: f64) {
    for objective in OBJECTIVES {
        let case = Case::new(24, (200, 16, 56), 9);
        let expected = case.gradients(case.reference_of(objective));
        let narrow = case.on(device, Kind::Float);
        let loss = narrow.losses(objective, compute, 64);
        assert_eq!((loss.objective.kind(), loss.nats.kind()), (Kind::Float, Kind::Float));
        for (i, (found, expected)) in narrow.gradients(loss.objective).iter().zip(&expected).enumerate() {
            let gap = gap(found, expected);
            assert!(gap < allowed, "{objective:?}, {compute:?}, tensor {i}: {gap:e}");
        }
    }
}

#[test]
fn objectives_in_narrower_kinds_agree_within_their_rounding() {
    check_objectives(Device::Cpu, Kind::Float, 2e-6);
    check_objectives(Device::Cpu, Kind::BFloat16, 2e-2);
}

#[test]
fn gradients_are_finite_differences() {
    OBJECTIVES.into_iter().for_each(check_differences);
}

fn check_differences(objective: Objective) {
    let case = Case::new(5, (6, 3, 5), 4);
    let [_, x, table] = case.gradients(case.losses(objective, Kind::Double, 4).objective);
    for (leaf, gradient) in [(&case.x, x), (&case.table, table)] {
        let flat = leaf.detach().view([-1]);
        for i in 0..flat.numel() as i64 {
            let mut entry = flat.get(i);
            let mut at = |step: f64| {
                entry += step;
                case.losses(objective, Kind::Double, 4).objective.double_value(&[])
            };
            let slope = (at(1e-5) - at(-2e-5)) / 2e-5;
            at(1e-5);
            approx::assert_abs_diff_eq!(0.7 * slope, gradient.view([-1]).double_value(&[i]), epsilon = 1e-8);
        }
    }
}

#[test]
fn a_tied_table_gets_both_gradients() {
    let case = Case::new(6, (20, 4, 9), 6);
    let embedded = |loss: &dyn Fn(&Case) -> Tensor| {
        let ids = case.targets.clamp_min(0);
        let x = Tensor::embedding(&case.table, &ids, -1, false, false) + &case.x;
        let tied = Case { x, table: case.table.shallow_clone(), targets: case.targets.shallow_clone() };
        case.gradients(loss(&tied))
    };
    let expected = embedded(&|tied| tied.reference());
    let found = embedded(&|tied| tied.loss(Kind::Double, 8));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(gap(found, expected) < 1e-12);
    }
}

/// Masters in float32, products in `compute`: nearer to float64 than `allowed`.
fn check_rounding(device: Device, compute: Kind, allowed: f64) {
    let case = Case::new(7, (200, 16, 56), 9);
    let expected = case.gradients(case.reference());
    let narrow = case.on(device, Kind::Float);
    let loss = narrow.loss(compute, 64);
    assert_eq!(loss.kind(), Kind::Float);
    let found = narrow.gradients(loss);
    assert_eq!((narrow.x.grad().kind(), narrow.table.grad().kind()), (Kind::Float, Kind::Float));
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let gap = gap(found, expected);
        assert!(gap < allowed, "{compute:?}, tensor {i}: {gap:e}");
    }
}

/// A rounding is 2⁻²⁴ or 2⁻⁹, of logits up to about 16.
#[test]
fn narrower_kinds_agree_within_their_rounding() {
    check_rounding(Device::Cpu, Kind::Float, 2e-6);
    check_rounding(Device::Cpu, Kind::BFloat16, 2e-2);
}

#[test]
fn gpu_narrower_kinds_agree_within_their_rounding() {
    if !tch::Cuda::is_available() {
        #[allow(clippy::print_stderr)]
        return eprintln!("skipped: no CUDA device");
    }
    check_rounding(Device::Cuda(0), Kind::Float, 5e-3); // TF32 may be on
    check_rounding(Device::Cuda(0), Kind::BFloat16, 2e-2);
    check_objectives(Device::Cuda(0), Kind::Float, 5e-3);
    check_objectives(Device::Cuda(0), Kind::BFloat16, 2e-2);
}

#[test]
fn chunks_cover_all_rows_once_and_keep_their_size() {
    for (tokens, rows) in [(1, 64), (64, 64), (65, 64), (1000, 64), (999, 128)] {
        let chunks: Vec<_> = chunks(tokens, rows).collect();
        assert_eq!(chunks.len() as i64, (tokens + rows - 1) / rows);
        assert!(chunks.iter().all(|chunk| chunk.end - chunk.start <= rows));
        let all: Vec<i64> = chunks.into_iter().flatten().collect();
        assert_eq!(all, (0..tokens).collect::<Vec<_>>());
    }
    for vocabulary in [2, 256, 1000, 32_000, 1_000_000] {
        for tokens in [1, 64, 100, 2048, 65_536] {
            let table = Tensor::zeros([vocabulary, 1], (Kind::Float, Device::Cpu));
            let rows =
                chunk_rows(&table, &Tensor::zeros([tokens], (Kind::Int64, Device::Cpu)), Pass::evaluation(Kind::Float));
            let what = format!("{tokens} tokens, vocabulary {vocabulary}");
            assert!(rows % CHUNK_ROWS == 0 && (rows == CHUNK_ROWS || 4 * rows * vocabulary <= CHUNK_BYTES), "{what}");
            assert!(rows == CHUNK_ROWS || rows < tokens, "{what}: not all at once");
        }
    }
}

#[test]
fn a_row_without_a_target_may_hold_anything() {
    let case = Case::new(8, (10, 4, 6), 5);
    let x = case.x.detach();
    let _ = x.get(0).fill_(f64::NAN);
    let case = Case { x: x.set_requires_grad(true), ..case };
    let found = case.gradients(case.loss(Kind::Double, 3));
    assert!(found.iter().all(|tensor| tensor.isfinite().all().int64_value(&[]) == 1));
    assert_eq!(found[1].get(0).abs().max().double_value(&[]), 0.0);
}

#[test]
fn only_what_is_asked_for_gets_a_gradient() {
    let case = Case::new(9, (10, 4, 6), 5);
    let gradients = |x: &Tensor, table: &Tensor| {
        let gradients = Gradients::new(x, table, table.size()[0]);
        (gradients.x.is_some(), gradients.table.is_some())
    };
    assert_eq!(gradients(&case.x, &case.table), (true, true));
    assert_eq!(gradients(&case.x.detach(), &case.table), (false, true));
    assert_eq!(gradients(&case.x, &case.table.detach()), (true, false));
    assert_eq!(no_grad(|| gradients(&case.x, &case.table)), (false, false));
    assert!(!no_grad(|| case.loss(Kind::Double, 3)).requires_grad());
}

#[test]
fn predictions_are_the_highest_logits_and_the_same_nats() {
    let case = Case::new(10, (37, 5, 11), 4);
    for rows in [5, 64] {
        let found = predict_in_chunks(&case.x, &case.table, &case.targets, Pass::evaluation(Kind::Double), rows);
        assert!(gap(&found.nats, &case.reference().detach()) < 1e-12);
        let counted = case.targets.greater_equal(0);
        let expected = case.logits().argmax(-1, false);
        assert_eq!(found.best.masked_select(&counted), expected.masked_select(&counted));
    }
}
