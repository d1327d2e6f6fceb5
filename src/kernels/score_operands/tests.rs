use super::super::host::with_kernels;
use super::*;
use crate::libtorch::autograd::backward;
use tch::Device;

const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Queries and keys of the parts by plain operations.
fn in_plain_operations(parts: &Parts, packed: &Tensor, weights: Option<&Tensor>) -> [Tensor; 2] {
    let (batch, length) = (packed.size()[0], packed.size()[1]);
    let source = |source: &Source, width: i64| match source {
        Source::Columns { first, relu } => {
            let x = packed.narrow(2, *first, parts.heads * width).view([batch, length, parts.heads, width]);
            let x = x.transpose(1, 2);
            if *relu { x.relu() } else { x }
        }
        Source::Table(table) => {
            let rows = table.narrow(1, 0, length).unsqueeze(0);
            rows.expand([batch, parts.heads, -1, -1], false).to_kind(packed.kind())
        }
    };
    let queries = parts.list.iter().enumerate().map(|(i, part)| {
        let x = source(&part.queries, part.width) * part.scale;
        weights.map_or_else(|| x.shallow_clone(), |weights| &x * weights.get(i as i64).view([1, -1, 1, 1]))
    });
    let keys = parts.list.iter().map(|part| source(&part.keys, part.width));
    [Tensor::cat(&queries.collect::<Vec<_>>(), 3), Tensor::cat(&keys.collect::<Vec<_>>(), 3)]
}

fn rounded(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, OPTIONS).to_kind(Kind::BFloat16).to_kind(Kind::Double)
}

fn close(found: &Tensor, expected: &Tensor, bound: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let gap = (found.to_kind(Kind::Double) - expected).abs().max() / expected.abs().max().clamp_min(1e-30);
    let gap = gap.double_value(&[]);
    assert!(gap < bound, "{what} differs by {gap}");
}

/// Parts with tables of one more position than there are, and heads that may share.
fn cases() -> Vec<(Parts, usize)> {
    let heads = 2;
    let table = |heads: i64, width: i64| Source::Table(Tensor::randn([heads, 8, width], OPTIONS));
    let columns = |first: i64, relu: bool| Source::Columns { first, relu };
    let part = |queries, keys, width, scale| Part { queries, keys, width, scale };
    let parts = |list, columns, value_column| Parts { list, heads, columns, value_column, value_width: 16 };
    let vanilla = |first: i64, second: i64| part(columns(first, false), columns(second, false), 16, 0.25);
    vec![
        (parts(vec![vanilla(0, 32)], 96, 64), 0),
        (parts(vec![part(columns(0, true), table(2, 24), 24, 1.0)], 80, 48), 0),
        (parts(vec![part(columns(0, true), table(1, 24), 24, 1.0)], 80, 48), 0),
        // A query that two parts read.
        (parts(vec![part(columns(0, true), table(2, 16), 16, 1.0), vanilla(0, 32)], 96, 64), 1),
        (parts(vec![part(table(2, 8), table(2, 8), 8, 1.0), vanilla(0, 32)], 96, 64), 2),
        (
            parts(
                vec![
                    part(table(1, 8), table(2, 8), 8, 0.5),
                    part(columns(32, true), table(2, 24), 24, 1.0),
                    vanilla(0, 80),
                ],
                144,
                112,
            ),
            2,
        ),
    ]
}

#[test]
fn kernels_equal_plain_operations_in_float64() {
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(12);
    let (batch, length) = (3, 7);
    for (number, (parts, weight_heads)) in cases().into_iter().enumerate() {
        assert!(parts.are_covered());
        let packed = rounded(&[batch, length, parts.columns]);
        let count = parts.list.len() as i64;
        let weights = (weight_heads > 0).then(|| Tensor::rand([count, weight_heads as i64], OPTIONS));
        let upstream = [parts.width(), parts.width(), parts.value_width]
            .map(|width| rounded(&[batch, length, parts.heads, width]).transpose(1, 2));

        // Of expanded tables libtorch's kernels give a gradient for each sample, too.
        let narrow = |x: &Tensor| x.to_kind(Kind::BFloat16);
        let found = with_kernels(|| {
            let operands = parts.operands(&narrow(&packed), weights.as_ref());
            let gradients = upstream.each_ref().map(narrow);
            (operands, parts.gradients(&narrow(&packed), weights.as_ref(), gradients.each_ref()))
        });

        let leaf = |x: &Tensor| x.detach().to_kind(Kind::Double).set_requires_grad(true);
        let (x, w) = (leaf(&packed), weights.as_ref().map(leaf));
        let source = |source: &Source| match source {
            Source::Columns { first, relu } => Source::Columns { first: *first, relu: *relu },
            Source::Table(table) => Source::Table(leaf(table)),
        };
        let list = parts.list.iter().map(|part| Part {
            queries: source(&part.queries),
            keys: source(&part.keys),
            ..Part { queries: source(&part.queries), keys: source(&part.keys), width: part.width, scale: part.scale }
        });
        let twin = Parts { list: list.collect(), ..parts };
        let [queries, keys] = in_plain_operations(&twin, &x, w.as_ref());
        let values = x.narrow(2, twin.value_column, twin.heads * twin.value_width);
        let values = values.view([batch, length, twin.heads, -1]).transpose(1, 2);
        let expected = [&queries, &keys, &values].map(Tensor::shallow_clone);
        backward(&expected, &upstream).unwrap();

        let what = |name: &str| format!("{name} of case {number}");
        let ([found_queries, found_keys], gradients) = found;
        close(&found_queries, &queries.detach(), 5e-3, &what("queries"));
        close(&found_keys.expand_as(&keys), &keys.detach(), 5e-3, &what("keys"));
        close(&gradients.packed, &x.grad(), 5e-3, &what("gradient of projections"));
        if let Some(w) = &w {
            close(&gradients.weights.unwrap(), &w.grad(), 1e-5, &what("gradient of weights"));
        }
        let tables: Vec<&Tensor> = twin.tables().collect();
        assert_eq!(gradients.tables.len(), tables.len());
        for (found, table) in gradients.tables.iter().zip(tables) {
            close(found, &table.grad(), 1e-5, &what("gradient of a table"));
        }
    }
}
