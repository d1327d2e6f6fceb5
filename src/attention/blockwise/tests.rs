use super::super::scores::{Factors, Table};
use super::*;
use crate::attention::materialised;
use crate::kernels::dropout::DropoutKey;

fn normal(seed: i64, shape: &[i64]) -> Tensor {
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(seed);
    Tensor::randn(shape, (Kind::Double, Device::Cpu)).set_requires_grad(true)
}

/// Every part at once, so that every gradient passes through several blocks of unequal size.
#[test]
fn blocks_of_any_size_equal_the_whole() {
    let (batch, heads, n, m) = (2, 3, 11, 13);
    for (causal, lengths) in [(false, None), (true, None), (false, Some([5i64, 0])), (true, Some([13, 4]))] {
        let q = normal(1, &[batch, heads, n, 4]);
        let k = normal(2, &[1, heads, m, 4]);
        let table = normal(3, &[1, heads, n, m]);
        let weight = normal(4, &[1, heads, 1, 1]);
        let (a, b) = (normal(5, &[batch, heads, n, 4]), normal(6, &[batch, heads, n, 4]));
        let v = normal(7, &[batch, heads, m, 5]);
        let leaves = [&q, &k, &table, &weight, &a, &b, &v];
        let scores = || Scores {
            scale: None,
            q: Some(q.shallow_clone()),
            k: Some(k.shallow_clone()),
            tables: vec![Table { table: table.shallow_clone(), weight: Some(weight.shallow_clone()) }],
            factors: Some(Factors { a: a.shallow_clone(), b: b.shallow_clone() }),
            from_input: true,
        };
        let mask = Mask { causal, key_lengths: lengths.map(|lengths| Tensor::from_slice(&lengths)) };
        let key = {
            let _turn = crate::randomness::lock_generator_for_test();
            DropoutKey::start(1, 2, 3, Device::Cpu)
        };
        for dropout in [Dropout::NONE, Dropout::new(0.3, &key, 9)] {
            let gradients = |y: Tensor| {
                (&y * normal(8, &y.size()).detach()).sum(Kind::Double).backward();
                let taken = leaves.map(|leaf| {
                    let mut leaf = leaf.shallow_clone();
                    let gradient = leaf.grad().copy();
                    leaf.zero_grad();
                    gradient
                });
                std::iter::once(y.detach()).chain(taken).collect::<Vec<_>>()
            };
            let whole = gradients(materialised::attend(&scores(), &v, &mask, dropout));
            for rows in [1, 3, 11, 64] {
                let found = gradients(attend_in_blocks(&scores(), &v, &mask, dropout, 1, rows));
                for (i, (whole, found)) in whole.iter().zip(&found).enumerate() {
                    let gap = (whole - found).abs().max().double_value(&[]);
                    assert!(gap < 1e-12, "causal {causal}, blocks of {rows}, tensor {i}: {gap:e}");
                }
            }
        }
    }
}

#[test]
fn what_needs_no_gradient_gets_none() {
    let table = normal(1, &[1, 2, 6, 6]).detach();
    let v = normal(2, &[2, 2, 6, 3]);
    let mut operands = Operands::new(&Scores::of_table(table), &v);
    operands.start();
    let [value, table] = operands.finish().try_into().unwrap();
    assert!(value.is_some() && table.is_none());
}
