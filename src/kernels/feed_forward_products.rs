//! The two products inside a feed-forward layer whose results are worked on number by number, each with that work in one
//! kernel, for Hopper: the numbers between would be written and read again, and are the largest of a layer.

use super::column_sums::column_sums;
use super::device::{hopper_multiprocessors, tensor_map};
use super::dropout::Draw;
use super::{Launch, Text, new, takes};
use tch::{Device, Kind, Tensor};

/// Rows and columns of a tile, which a block computes.
const TILE: [i64; 2] = [128, 256];
/// What divides the depth of a product.
const STEP: i64 = 64;
/// Threads of a block.
const THREADS: i64 = 384;
/// Bytes of a block's shared memory: up to 1,024 to begin where the swizzle asks, three stages of both operands, a tile
/// that waits to be written with 16 bytes between its rows, four rows of float32, ten barriers.
const SHARED: i64 = 1024 + 3 * 2 * STEP * (TILE[0] + TILE[1]) + TILE[0] * (2 * TILE[1] + 16) + 16 * TILE[1] + 80;

/// The kernels, for matrices of one set of sizes on one card.
#[derive(Debug, Clone)]
pub struct Products {
    text: Text,
    rows: i64,
    columns: i64,
    depth: i64,
    multiprocessors: i64,
}

impl Products {
    /// For `x` `[rows, depth]` and a layer of `columns` hidden units; `None` for what the kernels do not cover.
    pub fn of(x: &Tensor, columns: i64) -> Option<Self> {
        let &[rows, depth] = x.size().as_slice() else { return None };
        let Device::Cuda(index) = x.device() else { return None };
        let (whole, some) = (columns % TILE[1] == 0 && depth % STEP == 0, rows > 0 && columns > 0 && depth > 0);
        if x.kind() != Kind::BFloat16 || !whole || !some || !takes(x) {
            return None;
        }
        Some(Self { text: text(), rows, columns, depth, multiprocessors: hopper_multiprocessors(index)? })
    }

    /// Whether there are tiles enough for every multiprocessor; smaller tiles, as libraries have them, do better on less.
    pub fn fill_the_card(&self) -> bool {
        self.tiles() >= self.multiprocessors
    }

    /// `dropout(relu(x·Wᵀ + bias))` `[rows, columns]` of `x` `[rows, depth]` and `weight` `[columns, depth]`, in bfloat16
    /// and rounded once, with `bias` `[columns]` in float32; and for [`Products::down`] which of its numbers are positive:
    /// int32 `[⌈rows / 4⌉, columns / 8]`, of which bit 8i + j of (R, C) is that of (4R + i, 8C + j).
    ///
    /// # Panics
    /// With what the driver reports.
    pub fn up(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, draw: Option<&Draw>) -> (Tensor, Tensor) {
        let output = new(x, &[self.rows, self.columns], Kind::BFloat16);
        let bits = new(x, &[(self.rows + 3) / 4, self.columns / 8], Kind::Int);
        self.launch("feed_forward_up", [(x, TILE[0]), (weight, TILE[1] / 2)])
            .optional(bias)
            .tensor(&output)
            .tensor(&bits)
            .int(self.rows)
            .int(self.columns)
            .int(self.depth)
            .float(draw.map_or(1.0, Draw::scale))
            .dropout(draw)
            .run();
        (output, bits)
    }

    /// `(gradient·weight)·scale` where the bit is 1, else 0: bfloat16 `[rows, columns]`, of `gradient` `[rows, depth]` and
    /// `weight` `[depth, columns]`; and, where asked for, its sums over rows, float32 `[columns]`.
    ///
    /// # Panics
    /// With what the driver reports.
    pub fn down(
        &self,
        gradient: &Tensor,
        weight: &Tensor,
        bits: &Tensor,
        scale: f64,
        summed: bool,
    ) -> (Tensor, Option<Tensor>) {
        let output = new(gradient, &[self.rows, self.columns], Kind::BFloat16);
        let partial = [(self.rows + TILE[0] - 1) / TILE[0], self.columns];
        let partial = summed.then(|| new(gradient, &partial, Kind::Float));
        self.launch("feed_forward_down", [(gradient, TILE[0]), (weight, STEP)])
            .tensor(bits)
            .tensor(&output)
            .optional(partial.as_ref())
            .int(self.rows)
            .int(self.columns)
            .int(self.depth)
            .float(scale)
            .run();
        let sums = partial.map(|partial| {
            let sums = new(gradient, &[self.columns], Kind::Float);
            column_sums(&partial, [Some(&sums), None, None]);
            sums
        });
        (output, sums)
    }

    /// A launch over the whole card, with its first arguments: both operands, read in boxes of so many rows.
    fn launch<'a>(&'a self, kernel: &'static str, operands: [(&Tensor, i64); 2]) -> Launch<'a> {
        let blocks = self.tiles().min(self.multiprocessors / 2 * 2);
        let mut launch = Launch::new(&self.text, kernel, [blocks, 1, 1], [THREADS, 1, 1]).shared(SHARED);
        for (matrix, rows) in operands {
            let map = tensor_map(matrix, rows as u32).unwrap_or_else(|error| panic!("{kernel}: {error}"));
            launch = launch.words(map);
        }
        launch
    }

    /// Tiles, of rows in pairs: that is how a cluster of two blocks takes them.
    fn tiles(&self) -> i64 {
        (self.rows + 2 * TILE[0] - 1) / (2 * TILE[0]) * 2 * (self.columns / TILE[1])
    }
}

/// The kernels' text.
pub(super) fn text() -> Text {
    let source = concat!(
        include_str!("cuda/hopper.cuh"),
        include_str!("cuda/tile_products.cuh"),
        include_str!("cuda/feed_forward_products.cu")
    );
    Text::new("feed_forward_products.cu", source, &[])
}
