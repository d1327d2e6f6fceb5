//! Sums over rows, begun by other kernels.

use super::{Launch, Text};
use tch::{Kind, Tensor};

/// Rows of `partial` `[rows, outputs · each]` float32, added up in a fixed order into tensors of `each` float32 numbers;
/// `None` where the sum is not wanted.
pub fn column_sums(partial: &Tensor, outputs: [Option<&Tensor>; 3]) {
    let (rows, columns) = (partial.size()[0], partial.numel() as i64 / partial.size()[0].max(1));
    let each = outputs.iter().flatten().map(|output| output.numel() as i64).next().unwrap_or(columns);
    debug_assert!(outputs.iter().flatten().all(|output| output.kind() == Kind::Float));
    let text = Text::new("column_sums.cu", include_str!("cuda/column_sums.cu"), &[]);
    Launch::new(&text, "column_sums", [(columns + 31) / 32, 1, 1], [32, 32, 1])
        .tensor(partial)
        .int(rows)
        .int(columns)
        .optional(outputs[0])
        .optional(outputs[1])
        .optional(outputs[2])
        .int(each)
        .run();
}
