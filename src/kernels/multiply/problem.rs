//! A product of matrices as cuBLASLt is told it: what its algorithm is chosen by.

use tch::{Kind, Tensor};

/// One product, or one for each entry of a batch. cuBLASLt thinks in columns: an output `[rows, columns]` that is dense
/// in its rows is for it the transpose, dense in its columns, and so the product of the second operand and the first.
/// Here `m` counts the output's columns, `n` its rows and `k` what is summed over; `a` is the second operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    pub m: i64,
    pub n: i64,
    pub k: i64,
    pub batches: i64,
    pub a: Matrix,
    pub b: Matrix,
    pub out: Matrix,
    /// Whether the output is float32, not bfloat16.
    pub wide: bool,
    /// Whether the product is added to what the output holds.
    pub adds: bool,
    pub epilogue: Epilogue,
}

/// How one of the matrices lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matrix {
    /// Whether cuBLASLt has to transpose it.
    pub transposed: bool,
    /// Numbers from one of its columns, as cuBLASLt counts them, to the next.
    pub leading: i64,
    /// Numbers from one entry of the batch to the next; 0 of one matrix.
    pub stride: i64,
    /// Bytes that the address is a multiple of: 2, 4, 8, 16 or 256.
    pub alignment: u32,
}

/// What is done to the sums before they are rounded and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// relu(sum + bias), the bias of a column in float32 or bfloat16.
    BiasRelu {
        /// Whether the bias is float32.
        wide: bool,
    },
}

impl Problem {
    /// `a·b` into `out`, on whatever device; `None` for kinds, axes or strides that are not covered, and where there is
    /// nothing to compute. `a` is `[rows, k]`, `b` `[k, columns]`, `out` `[rows, columns]`, or each with an axis of the
    /// batch before; `bias` `[columns]`.
    pub fn of(out: &Tensor, [a, b]: [&Tensor; 2], adds: bool, bias: Option<&Tensor>) -> Option<Self> {
        let wide = match out.kind() {
            Kind::Float => true,
            Kind::BFloat16 => false,
            _ => return None,
        };
        if a.kind() != Kind::BFloat16 || b.kind() != Kind::BFloat16 {
            return None;
        }
        let [(rows, k), (inner, columns), (height, width)] = [axes(a)?, axes(b)?, axes(out)?];
        let batches = if out.dim() == 3 { out.size()[0] } else { 1 };
        let same = |x: &Tensor| x.dim() == out.dim() && (x.dim() == 2 || x.size()[0] == batches);
        let agree = inner == k && height == rows && width == columns && same(a) && same(b);
        if !agree || [rows, columns, k, batches].contains(&0) {
            return None;
        }
        let (first, second, output) = (Matrix::of(a)?, Matrix::of(b)?, Matrix::of(out)?);
        // A batch's products would write over one another.
        if output.transposed || (batches > 1 && output.stride == 0) {
            return None;
        }
        let epilogue = Epilogue::of(bias, columns)?;
        Some(Self { m: columns, n: rows, k, batches, a: second, b: first, out: output, wide, adds, epilogue })
    }

    /// Multiply-adds, each counted as two operations.
    pub fn operations(&self) -> f64 {
        2.0 * [self.m, self.n, self.k, self.batches].map(|size| size as f64).iter().product::<f64>()
    }
}

impl Epilogue {
    fn of(bias: Option<&Tensor>, columns: i64) -> Option<Self> {
        let Some(bias) = bias else { return Some(Self::None) };
        let dense = bias.size() == [columns] && bias.is_contiguous();
        match bias.kind() {
            Kind::Float if dense => Some(Self::BiasRelu { wide: true }),
            Kind::BFloat16 if dense => Some(Self::BiasRelu { wide: false }),
            _ => None,
        }
    }
}

impl Matrix {
    fn of(x: &Tensor) -> Option<Self> {
        let (rows, columns) = axes(x)?;
        let strides = x.stride();
        let [down, across] = [strides[strides.len() - 2], strides[strides.len() - 1]];
        let (transposed, leading) = lies([rows, columns], [down, across])?;
        let stride = if x.dim() == 3 && x.size()[0] > 1 { strides[0] } else { 0 };
        Some(Self { transposed, leading, stride, alignment: alignment(x.data_ptr() as usize) })
    }
}

/// Rows and columns of a matrix, or of each in a batch.
fn axes(x: &Tensor) -> Option<(i64, i64)> {
    match x.size()[..] {
        [rows, columns] | [_, rows, columns] => Some((rows, columns)),
        _ => None,
    }
}

/// Whether rows, dense in themselves, follow one another (false) or columns do (true), and how far one is from the next;
/// `None` where neither is so. The stride of an axis of one means nothing.
fn lies([rows, columns]: [i64; 2], [down, across]: [i64; 2]) -> Option<(bool, i64)> {
    if (across == 1 || columns == 1) && (down >= columns || rows == 1) {
        Some((false, if rows == 1 { columns } else { down }))
    } else if (down == 1 || rows == 1) && (across >= rows || columns == 1) {
        Some((true, if columns == 1 { rows } else { across }))
    } else {
        None
    }
}

/// The classes that cuBLASLt's kernels know; 256 is what it takes for granted, and what libtorch's allocator gives.
fn alignment(address: usize) -> u32 {
    match address.trailing_zeros() {
        zeros @ 0..=3 => 1 << zeros,
        4..=7 => 16,
        _ => 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn empty(shape: &[i64], kind: Kind) -> Tensor {
        Tensor::empty(shape, (kind, Device::Cpu))
    }

    /// The problem's matrices as (transposed, leading, stride).
    fn parts(problem: &Problem) -> [(bool, i64, i64); 3] {
        [&problem.a, &problem.b, &problem.out].map(|matrix| (matrix.transposed, matrix.leading, matrix.stride))
    }

    #[test]
    fn the_second_operand_comes_first_and_views_are_seen_through() {
        let (x, weight) = (empty(&[6, 3], Kind::BFloat16), empty(&[5, 3], Kind::BFloat16));
        let out = empty(&[6, 8], Kind::Float).narrow(1, 0, 5);
        let problem = Problem::of(&out, [&x, &weight.tr()], false, None).unwrap();
        assert_eq!((problem.m, problem.n, problem.k, problem.batches), (5, 6, 3, 1));
        assert_eq!(parts(&problem), [(true, 3, 0), (false, 3, 0), (false, 8, 0)]);
        assert!(problem.wide && !problem.adds && problem.operations() == 180.0);
        // The weight's gradient: the first operand is a transposed view.
        let (upstream, sum) = (empty(&[6, 5], Kind::BFloat16), empty(&[5, 3], Kind::Float));
        let problem = Problem::of(&sum, [&upstream.tr(), &x], true, None).unwrap();
        assert_eq!((problem.m, problem.n, problem.k), (3, 5, 6));
        assert_eq!(parts(&problem), [(false, 3, 0), (true, 5, 0), (false, 3, 0)]);
        assert!(problem.adds);
    }

    #[test]
    fn batches_and_axes_of_one() {
        let (a, b) = (empty(&[4, 6, 3], Kind::BFloat16), empty(&[4, 5, 3], Kind::BFloat16));
        let out = empty(&[4, 6, 5], Kind::BFloat16);
        let problem = Problem::of(&out, [&a, &b.transpose(1, 2)], false, None).unwrap();
        assert_eq!(parts(&problem), [(true, 3, 15), (false, 3, 18), (false, 5, 30)]);
        let shared = b.narrow(0, 0, 1).expand([4, 5, 3], false);
        let problem = Problem::of(&out, [&a, &shared.transpose(1, 2)], false, None).unwrap();
        assert_eq!(problem.a.stride, 0);
        assert_eq!(lies([1, 7], [3, 1]), Some((false, 7)));
        assert_eq!(lies([7, 1], [1, 9]), Some((false, 1)));
        assert_eq!(lies([1, 1], [0, 0]), Some((false, 1)));
        assert_eq!(lies([1, 7], [1, 2]), Some((true, 2)));
        assert_eq!(lies([4, 7], [0, 1]), None);
        assert_eq!(lies([4, 7], [14, 2]), None);
    }

    #[test]
    fn what_is_not_covered() {
        let bf16 = |shape: &[i64]| empty(shape, Kind::BFloat16);
        let (a, b, out) = (bf16(&[6, 3]), bf16(&[3, 5]), bf16(&[6, 5]));
        let covered = |out: &Tensor, a: &Tensor, b: &Tensor| Problem::of(out, [a, b], false, None).is_some();
        assert!(covered(&out, &a, &b));
        assert!(!covered(&out, &a.to_kind(Kind::Float), &b));
        assert!(!covered(&out.to_kind(Kind::Double), &a, &b));
        assert!(!covered(&out, &bf16(&[6, 4]), &b));
        assert!(!covered(&bf16(&[5, 6]).tr(), &a, &b), "the output's rows must be dense");
        assert!(!covered(&bf16(&[0, 5]), &bf16(&[0, 3]), &b));
        assert!(!covered(&bf16(&[6, 5]), &bf16(&[6, 0]), &bf16(&[0, 5])), "a sum of nothing");
        let batch = [bf16(&[2, 6, 3]), bf16(&[2, 3, 5])];
        assert!(!covered(&bf16(&[1, 6, 5]).expand([2, 6, 5], false), &batch[0], &batch[1]));
        let bias = |bias: &Tensor| Problem::of(&out, [&a, &b], false, Some(bias)).map(|problem| problem.epilogue);
        assert_eq!(bias(&empty(&[5], Kind::Float)), Some(Epilogue::BiasRelu { wide: true }));
        assert_eq!(bias(&bf16(&[5])), Some(Epilogue::BiasRelu { wide: false }));
        assert_eq!(bias(&bf16(&[6])), None);
    }

    #[test]
    fn problems_differ_by_how_their_memory_lies() {
        assert_eq!([512, 272, 8, 4, 2, 1].map(alignment), [256, 16, 8, 4, 2, 1]);
        let whole = empty(&[6, 64], Kind::BFloat16);
        let (b, out) = (empty(&[32, 5], Kind::BFloat16), empty(&[6, 5], Kind::BFloat16));
        let at = |start: i64| Problem::of(&out, [&whole.narrow(1, start, 32), &b], false, None).unwrap();
        assert!(at(0) != at(1) && at(1) != at(2));
        assert_eq!(at(1), at(3));
    }
}
