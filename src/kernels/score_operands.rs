//! Queries and keys of a mixture's parts side by side, made of all projections of a layer's input in one pass, and one
//! pass back.

use super::column_sums::column_sums;
use super::{Launch, Text, new};
use tch::{Kind, Tensor};

/// Rows of threads in all of the backward kernel, each of which leaves a row of partial sums.
const SHARES: i64 = 1056;
/// Shares of the batch whose sums for a table stand apart at first.
const TABLE_SHARES: i64 = 8;
/// Parts at most: places in the kernels' `Tables`.
const MOST: usize = 3;

/// Where the queries or keys of a part come from.
#[derive(Debug)]
pub enum Source {
    /// Columns of the projections, head after head, from `first` on; through relu or not.
    Columns {
        /// The first.
        first: i64,
        /// Whether negative numbers count as 0.
        relu: bool,
    },
    /// Rows by position, float32 `[heads | 1, length at least, width]`.
    Table(Tensor),
}

/// A part: `scale · weight · queries · keysᵀ`.
#[derive(Debug)]
pub struct Part {
    /// Its queries.
    pub queries: Source,
    /// Its keys, without relu.
    pub keys: Source,
    /// Columns of a head.
    pub width: i64,
    /// What the queries are multiplied by, beside a mixture's weight.
    pub scale: f64,
}

/// The parts of a layer, and where its values are.
#[derive(Debug)]
pub struct Parts {
    /// At least one.
    pub list: Vec<Part>,
    /// Number of heads.
    pub heads: i64,
    /// Columns of all projections together.
    pub columns: i64,
    /// The first column of the values.
    pub value_column: i64,
    /// Columns of a head's values.
    pub value_width: i64,
}

/// Gradients of what [`Parts::operands`] took.
#[derive(Debug)]
pub struct PartGradients {
    /// Of the projections, `[batch, length, columns]` in bfloat16.
    pub packed: Tensor,
    /// Of the weights, float32 in their shape.
    pub weights: Option<Tensor>,
    /// Of the tables in their order, queries' and keys' of each part, float32 in their shape.
    pub tables: Vec<Tensor>,
}

impl Parts {
    /// Whether the kernels take parts of these widths.
    pub fn are_covered(&self) -> bool {
        let widths = self.list.iter().map(|part| part.width).chain([self.value_width]);
        let firsts = self.list.iter().flat_map(|part| [&part.queries, &part.keys]).map(|source| match source {
            Source::Columns { first, .. } => *first,
            Source::Table(_) => 0,
        });
        self.list.len() <= MOST && widths.chain(firsts).chain([self.value_column]).all(|n| n % 8 == 0)
    }

    /// Sum of the parts' widths.
    pub fn width(&self) -> i64 {
        self.list.iter().map(|part| part.width).sum()
    }

    /// Whether samples have keys of their own.
    pub fn own_keys(&self) -> bool {
        self.list.iter().any(|part| matches!(part.keys, Source::Columns { .. }))
    }

    /// The tables, in the order of [`PartGradients::tables`].
    pub fn tables(&self) -> impl Iterator<Item = &Tensor> {
        self.sources().filter_map(|(_, source, _)| if let Source::Table(table) = source { Some(table) } else { None })
    }

    /// The same with tables that have no history.
    pub fn detached(&self) -> Self {
        let source = |source: &Source| match source {
            Source::Columns { first, relu } => Source::Columns { first: *first, relu: *relu },
            Source::Table(table) => Source::Table(table.detach()),
        };
        let part = |part: &Part| Part {
            queries: source(&part.queries),
            keys: source(&part.keys),
            width: part.width,
            scale: part.scale,
        };
        Self { list: self.list.iter().map(part).collect(), ..*self }
    }

    /// Every part's queries and keys, with the part's number and whether they are queries.
    fn sources(&self) -> impl Iterator<Item = (usize, &Source, bool)> {
        self.list.iter().enumerate().flat_map(|(i, part)| [(i, &part.queries, true), (i, &part.keys, false)])
    }

    /// Queries `[batch, heads, length, width]` and keys, of a batch of 1 where samples have none of their own, both in
    /// bfloat16, of `packed` `[batch, length, columns]` and a mixture's `weights`, float32 `[parts, heads | 1]`.
    pub fn operands(&self, packed: &Tensor, weights: Option<&Tensor>) -> [Tensor; 2] {
        let (batch, length) = (packed.size()[0], packed.size()[1]);
        let key_batch = if self.own_keys() { batch } else { 1 };
        let operand = |batch: i64| new(packed, &[batch, length, self.heads, self.width()], Kind::BFloat16);
        let (queries, keys) = (operand(batch), operand(key_batch));
        let eights = (queries.numel() + keys.numel()) as i64 / 8;
        Launch::new(&self.text(weights), "score_operands", [(eights + 255) / 256, 1, 1], [256, 1, 1])
            .tensor(packed)
            .words(self.table_words())
            .optional(weights)
            .tensor(&queries)
            .tensor(&keys)
            .int(batch * length)
            .int(key_batch * length)
            .int(length)
            .run();
        [queries, keys].map(|operand| operand.transpose(1, 2))
    }

    /// Back, from the gradients of queries, keys and values, each `[batch, heads, length, …]` in bfloat16.
    pub fn gradients(&self, packed: &Tensor, weights: Option<&Tensor>, upstream: [&Tensor; 3]) -> PartGradients {
        let [queries, keys, values] = upstream.map(|gradient| gradient.transpose(1, 2).contiguous());
        let (batch, length) = (packed.size()[0], packed.size()[1]);
        let gradient = packed.empty_like();
        let across = (self.columns / 8).min(256);
        let down = 256 / across;
        let shares = SHARES.min(batch * length).max(1);
        let blocks = [(self.columns / 8 + across - 1) / across, (shares + down - 1) / down, 1];
        let count = self.list.len() as i64;
        let partial = weights.map(|_| new(packed, &[blocks[1] * down, count, self.columns / 8], Kind::Float));
        Launch::new(&self.text(weights), "score_operand_gradients", blocks, [across, down, 1])
            .tensor(packed)
            .optional(weights)
            .tensor(&queries)
            .optional(self.own_keys().then_some(&keys))
            .tensor(&values)
            .tensor(&gradient)
            .optional(partial.as_ref())
            .int(batch * length)
            .run();
        let mut of_weights = weights.zip(partial.as_ref()).map(|(weights, partial)| self.of_weights(weights, partial));
        let tables = self.of_tables([&queries, &keys], weights, of_weights.as_mut());
        PartGradients { packed: gradient, weights: of_weights, tables }
    }

    /// What the columns of the projections give to the weights' gradient.
    fn of_weights(&self, weights: &Tensor, partial: &Tensor) -> Tensor {
        let sums = new(partial, &partial.size()[1..], Kind::Float); // [parts, columns / 8]
        column_sums(partial, [Some(&sums), None, None]);
        let of_part = |(i, part): (usize, &Part)| match part.queries {
            Source::Columns { first, .. } => {
                let own = sums.get(i as i64).narrow(0, first / 8, self.heads * part.width / 8);
                by_head(&own.view([self.heads, -1]).sum_dim_intlist([1i64].as_slice(), false, Kind::Float), weights)
            }
            Source::Table(_) => weights.get(i as i64).zeros_like(),
        };
        Tensor::stack(&self.list.iter().enumerate().map(of_part).collect::<Vec<_>>(), 0)
    }

    /// The tables' gradients; adds to the weights' what tables of queries give.
    fn of_tables(
        &self,
        operands: [&Tensor; 2],
        weights: Option<&Tensor>,
        mut of_weights: Option<&mut Tensor>,
    ) -> Vec<Tensor> {
        let mut list = Vec::new();
        let starts: Vec<i64> =
            self.list.iter().scan(0, |start, part| Some(std::mem::replace(start, *start + part.width))).collect();
        for (i, source, of_queries) in self.sources() {
            let (Source::Table(table), part) = (source, &self.list[i]) else { continue };
            let sums = self.table_sums(operands[usize::from(!of_queries)], starts[i], part.width, weights);
            let length = sums.size()[1];
            let factor = match weights {
                Some(weights) => weights.get(i as i64).view([-1, 1, 1]) * part.scale,
                None => Tensor::full([1, 1, 1], part.scale, (Kind::Float, table.device())),
            };
            if let Some(of_weights) = of_weights.as_mut().filter(|_| of_queries) {
                let product = &sums * table.detach().narrow(1, 0, length) * part.scale;
                let sum = product.sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Float);
                let _ = of_weights.get(i as i64).g_add_(&by_head(&sum, &of_weights.get(i as i64).unsqueeze(0)));
            }
            let gradient = if of_queries { sums * factor } else { sums };
            let shared = table.size()[0] < self.heads;
            let gradient =
                if shared { gradient.sum_dim_intlist([0i64].as_slice(), true, Kind::Float) } else { gradient };
            let missing = table.size()[1] - length;
            list.push(if missing > 0 { gradient.constant_pad_nd([0, 0, 0, missing]) } else { gradient });
        }
        list
    }

    /// Sums over the batch of some columns of operands' gradients `[batch, length, heads, width]`: float32 `[heads,
    /// length, width]`.
    fn table_sums(&self, gradients: &Tensor, start: i64, width: i64, weights: Option<&Tensor>) -> Tensor {
        let (batch, length) = (gradients.size()[0], gradients.size()[1]);
        let shares = TABLE_SHARES.min(batch);
        let partial = new(gradients, &[shares, self.heads, length, width], Kind::Float);
        let blocks = [(self.heads * length * width / 8 + 255) / 256, shares, 1];
        Launch::new(&self.text(weights), "table_gradient", blocks, [256, 1, 1])
            .tensor(gradients)
            .tensor(&partial)
            .int(batch)
            .int(length)
            .int(start)
            .int(width)
            .run();
        let sums = new(gradients, &[self.heads, length, width], Kind::Float);
        column_sums(&partial, [Some(&sums), None, None]);
        sums
    }

    fn text(&self, weights: Option<&Tensor>) -> Text {
        let list = |of: &dyn Fn(&Part) -> String| self.list.iter().map(of).collect::<Vec<_>>().join(", ");
        let first = |source: &Source| match source {
            Source::Columns { first, .. } => first.to_string(),
            Source::Table(_) => "-1".to_string(),
        };
        let relu = |source: &Source| i32::from(matches!(source, Source::Columns { relu: true, .. })).to_string();
        let macros: [(&str, &dyn std::fmt::Display); 13] = [
            ("HEADS", &self.heads),
            ("PARTS", &self.list.len()),
            ("WIDTHS", &list(&|part| part.width.to_string())),
            ("WIDTH", &self.width()),
            ("QUERY_COLUMNS", &list(&|part| first(&part.queries))),
            ("KEY_COLUMNS", &list(&|part| first(&part.keys))),
            ("QUERY_RELU", &list(&|part| relu(&part.queries))),
            ("SCALES", &list(&|part| format!("{:e}f", part.scale as f32))),
            ("COLUMNS", &self.columns),
            ("VALUE_COLUMN", &self.value_column),
            ("VALUE_WIDTH", &self.value_width),
            ("WEIGHTED", &i32::from(weights.is_some())),
            ("WEIGHT_HEADS", &weights.map_or(1, |weights| weights.size()[1])),
        ];
        Text::new("score_operands.cu", include_str!("cuda/score_operands.cu"), &macros)
    }

    /// `struct Tables` of the text.
    fn table_words(&self) -> Vec<u64> {
        let mut pointers = [0u64; 2 * MOST];
        let mut strides = [0u32; 2 * MOST];
        for (i, source, of_queries) in self.sources() {
            let place = if of_queries { i } else { MOST + i };
            if let Source::Table(table) = source {
                assert!(table.is_contiguous(), "a table in one piece");
                pointers[place] = table.data_ptr() as u64;
                let shared = table.size()[0] < self.heads;
                strides[place] = if shared { 0 } else { (table.size()[1] * table.size()[2]) as u32 };
            }
        }
        let halves = strides.chunks(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32);
        pointers.into_iter().chain(halves).collect()
    }
}

/// `sums` `[heads]` as one row of `weights`.
fn by_head(sums: &Tensor, weights: &Tensor) -> Tensor {
    if weights.size()[1] == 1 { sums.sum(Kind::Float).view([1]) } else { sums.shallow_clone() }
}

#[cfg(test)]
mod tests;
