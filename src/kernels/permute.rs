//! Heads of many samples side by side, as one product per head wants them, and back.

use super::{Launch, Text, new, number, takes};
use tch::Tensor;

/// `[batch, heads, length, width]` as `[heads, length, batch · width]`.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn by_head(x: &Tensor) -> Tensor {
    let [batch, heads, length, width] = x.size()[..] else { unreachable!("heads have four axes") };
    copied(x, [1, 2, 0]).view([heads, length, batch * width])
}

/// `[heads, length, batch · width]` as `[batch, heads, length, width]`, of which a sample's heads lie side by side in
/// memory.
///
/// # Panics
/// As [`by_head`].
pub fn by_sample(x: &Tensor, batch: i64) -> Tensor {
    let [heads, length, columns] = x.size()[..] else { unreachable!("heads have three axes") };
    copied(&x.view([heads, length, batch, columns / batch]), [2, 1, 0]).transpose(1, 2)
}

/// `x` of four axes in one piece, with the first three in this order.
fn copied(x: &Tensor, order: [i64; 3]) -> Tensor {
    let permuted = x.permute([order[0], order[1], order[2], 3]);
    by_kernel(&permuted).unwrap_or_else(|| permuted.contiguous())
}

fn by_kernel(x: &Tensor) -> Option<Tensor> {
    let (size, stride) = (x.size(), x.stride());
    let number = number(x.kind())?;
    let whole = stride[3] == 1 && stride[..3].iter().chain([&size[3]]).all(|n| n % 8 == 0);
    // Eights are read at once: the first must lie where that can be done.
    if !whole || x.numel() == 0 || !(x.data_ptr() as usize).is_multiple_of(32) || !takes(x) {
        return None;
    }
    let output = new(x, &size, x.kind());
    let total = x.numel() as i64 / 8;
    let text = Text::new("permute.cu", include_str!("cuda/permute.cu"), &[("NUMBER", &number)]);
    Launch::new(&text, "permute", [(total + 255) / 256, 1, 1], [256, 1, 1])
        .tensor_with_gaps(x)
        .tensor(&output)
        .long(total)
        .int(size[1])
        .int(size[2])
        .int(size[3])
        .long(stride[0])
        .long(stride[1])
        .long(stride[2])
        .run();
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::super::host::with_kernels;
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn kernels_copy_as_plain_operations_do() {
        for kind in [Kind::Float, Kind::BFloat16] {
            for (batch, heads, length, width) in [(3, 2, 5, 16), (2, 3, 7, 8), (1, 1, 4, 24), (2, 2, 3, 12)] {
                let columns = heads * width;
                // Values are columns of a wider product.
                let joined = Tensor::arange(batch * length * 3 * columns, (Kind::Float, Device::Cpu)).remainder(251);
                let joined = joined.to_kind(kind).view([batch, length, 3 * columns]);
                let x = joined.narrow(2, columns, columns).view([batch, length, heads, width]).transpose(1, 2);
                let expected = x.permute([1, 2, 0, 3]).reshape([heads, length, batch * width]);
                let found = with_kernels(|| by_head(&x));
                assert_eq!(found, expected, "{kind:?}, {width}");
                assert_eq!(with_kernels(|| by_sample(&expected, batch)), x, "{kind:?}, {width}, back");
            }
        }
    }
}
