//! Scores in every form that a kind makes, under every mask.

use crate::attention_layers::normal;
use synth::attention::attend::attend_by;
use synth::attention::scores::{Factors, Table, at_least_float};
use synth::attention::{Dropout, Mask, Path, Scores};
use tch::{Device, Kind, Tensor};

/// Samples of every case.
pub const BATCH: i64 = 3;
/// Heads of every case.
pub const HEADS: i64 = 2;

/// Leaves, in float64, that scores and values are made of.
pub struct Case {
    pub name: String,
    pub q: Option<Tensor>,
    pub k: Option<Tensor>,
    pub tables: Vec<(Tensor, Option<Tensor>)>,
    pub factors: Option<(Tensor, Tensor)>,
    pub v: Tensor,
    pub mask: Mask,
    /// N and M.
    pub lengths: (i64, i64),
}

impl Case {
    /// The scores with products and factors of one kind of numbers; tables are at least float32.
    pub fn scores(&self, kind: Kind) -> Scores {
        let part = |tensor: &Tensor| tensor.to_kind(kind);
        let table = |(table, weight): &(Tensor, Option<Tensor>)| Table {
            table: at_least_float(&part(table)),
            weight: weight.as_ref().map(|weight| at_least_float(&part(weight))),
        };
        Scores {
            scale: None,
            q: self.q.as_ref().map(part),
            k: self.k.as_ref().map(part),
            tables: self.tables.iter().map(table).collect(),
            factors: self.factors.as_ref().map(|(a, b)| Factors { a: part(a), b: part(b) }),
            from_input: false,
        }
    }

    /// Every leaf, with a name.
    pub fn leaves(&self) -> Vec<(&'static str, &Tensor)> {
        let tables = self.tables.iter().flat_map(|(table, weight)| [Some(("table", table)), named("weight", weight)]);
        let factors = self.factors.iter().flat_map(|(a, b)| [Some(("a", a)), Some(("b", b))]);
        let products = [named("q", &self.q), named("k", &self.k), Some(("v", &self.v))];
        products.into_iter().chain(tables).chain(factors).flatten().collect()
    }

    /// The output in float64, where it is defined, and zero where not; `None` where the path does not apply.
    pub fn output(&self, path: Path, kind: Kind, dropout: Dropout<'_>) -> Option<Tensor> {
        let y = attend_by(path, &self.scores(kind), &self.v.to_kind(kind), &self.mask, dropout)?;
        assert_eq!(y.kind(), kind, "{}: {path}", self.name);
        assert_eq!(y.size(), [BATCH, HEADS, self.lengths.0, self.v.size()[3]], "{}: {path}", self.name);
        Some(y.to_kind(Kind::Double) * self.defined())
    }

    /// Output, and the gradients of all leaves for one gradient of the output.
    pub fn run(&self, path: Path, kind: Kind, dropout: Dropout<'_>) -> Option<Vec<(&'static str, Tensor)>> {
        let y = self.output(path, kind, dropout)?;
        (&y * normal("upstream", &y.size())).sum(Kind::Double).backward();
        let gradient = |(name, leaf): (&'static str, &Tensor)| {
            let mut leaf = leaf.shallow_clone();
            let gradient = leaf.grad().copy();
            leaf.zero_grad();
            (name, gradient)
        };
        Some(std::iter::once(("output", y.detach())).chain(self.leaves().into_iter().map(gradient)).collect())
    }

    /// 1 where an output is defined, `[batch, 1, N, 1]`: what a padded query gives under a causal mask is not, but in
    /// a sample without any key.
    fn defined(&self) -> Tensor {
        let (n, m) = self.lengths;
        let positions = Tensor::arange_start(m - n, m, (Kind::Int64, Device::Cpu));
        match &self.mask.key_lengths {
            Some(lengths) if self.mask.causal => {
                let real = positions.less_tensor(&lengths.view([-1, 1])).logical_or(&lengths.eq(0).view([-1, 1]));
                real.view([BATCH, 1, n, 1]).to_kind(Kind::Double)
            }
            _ => Tensor::ones([BATCH, 1, n, 1], (Kind::Double, Device::Cpu)),
        }
    }
}

fn named<'a>(name: &'static str, tensor: &'a Option<Tensor>) -> Option<(&'static str, &'a Tensor)> {
    tensor.as_ref().map(|tensor| (name, tensor))
}

/// The largest difference between results, for each against the size of the reference's numbers or 1.
pub fn worst(reference: &[(&'static str, Tensor)], found: &[(&'static str, Tensor)]) -> (f64, &'static str) {
    assert_eq!(reference.len(), found.len());
    let gaps = reference.iter().zip(found).map(|((name, reference), (_, found))| {
        let scale = reference.abs().max().double_value(&[]).max(1.0);
        (crate::attention_layers::difference(reference, found) / scale, *name)
    });
    gaps.fold((0.0, "nothing"), |worst, gap| if gap.0 > worst.0 { gap } else { worst })
}

/// A mask's name, N, M, whether it is causal, and the samples' lengths.
type Sight = (&'static str, i64, i64, bool, Option<[i64; 3]>);

/// Queries are as many as keys, fewer, more, or the last of a causal sequence.
const SIGHTS: [Sight; 9] = [
    ("full", 7, 7, false, None),
    ("causal", 7, 7, true, None),
    ("padded", 7, 7, false, Some([3, 7, 0])),
    ("padded, causal", 7, 7, true, Some([3, 7, 0])),
    ("fewer queries", 4, 7, false, None),
    ("more queries, padded", 7, 5, false, Some([5, 0, 2])),
    ("the last three", 3, 7, true, None),
    ("the last", 1, 7, true, None),
    ("one token", 1, 1, true, Some([1, 0, 1])),
];

/// Every form of scores under every mask.
pub fn cases() -> Vec<Case> {
    SIGHTS.into_iter().flat_map(|sight| FORMS.iter().map(move |(name, form)| case(name, form, sight))).collect()
}

/// What a form is made of.
#[derive(Default)]
struct Form {
    /// Width of q and k, and the samples of each.
    product: Option<(i64, i64, i64)>,
    /// Heads of each table's weight, where it has one.
    tables: &'static [Option<i64>],
    factors: Option<(i64, i64)>,
    value_width: i64,
}

const PLAIN: Form = Form { product: None, tables: &[], factors: None, value_width: 4 };

const FORMS: &[(&str, Form)] = &[
    ("vanilla", Form { product: Some((4, BATCH, BATCH)), ..PLAIN }),
    // Widths that no kernel takes as they are.
    ("widths 3 and 5", Form { product: Some((3, BATCH, BATCH)), value_width: 5, ..PLAIN }),
    ("widths 12 and 4", Form { product: Some((12, BATCH, BATCH)), ..PLAIN }),
    ("width 260", Form { product: Some((260, BATCH, BATCH)), ..PLAIN }),
    ("dense", Form { product: Some((4, BATCH, 1)), ..PLAIN }),
    ("factorized-random", Form { product: Some((8, 1, 1)), ..PLAIN }),
    ("factorized-dense", Form { factors: Some((3, 3)), ..PLAIN }),
    ("factors beyond the keys", Form { factors: Some((2, 8)), ..PLAIN }),
    ("random", Form { tables: &[None], ..PLAIN }),
    ("weighted tables", Form { tables: &[Some(1), Some(HEADS)], ..PLAIN }),
    ("table and rank", Form { product: Some((2, 1, 1)), tables: &[Some(1)], ..PLAIN }),
    ("table and product", Form { product: Some((4, BATCH, BATCH)), tables: &[None], ..PLAIN }),
    (
        "everything",
        Form {
            product: Some((5, BATCH, BATCH)),
            tables: &[Some(HEADS), None, Some(1)],
            factors: Some((4, 2)),
            value_width: 3,
        },
    ),
];

fn case(form_name: &str, form: &Form, (sight_name, n, m, causal, lengths): Sight) -> Case {
    let leaf = |name: &str, shape: [i64; 4], scale: f64| (normal(name, &shape) * scale).set_requires_grad(true);
    let product = |name: &str, samples, length, width: i64| {
        leaf(name, [samples, HEADS, length, width], (width as f64 / 4.0).powf(-0.25))
    };
    let table = |(i, weight): (usize, &Option<i64>)| {
        let weight = weight.map(|heads| leaf(&format!("weight {i}"), [1, heads, 1, 1], 1.0));
        (leaf(&format!("table {i}"), [1, HEADS, n, m], 1.0), weight)
    };
    let factor = |name, width| leaf(name, [BATCH, HEADS, n, width], 1.0);
    Case {
        name: format!("{form_name}, {sight_name}"),
        q: form.product.map(|(width, samples, _)| product("q", samples, n, width)),
        k: form.product.map(|(width, _, samples)| product("k", samples, m, width)),
        tables: form.tables.iter().enumerate().map(table).collect(),
        factors: form.factors.map(|(a, b)| (factor("a", a), factor("b", b))),
        v: leaf("v", [BATCH, HEADS, m, form.value_width], 1.0),
        mask: Mask { causal, key_lengths: lengths.map(|lengths| Tensor::from_slice(&lengths)) },
        lengths: (n, m),
    }
}
