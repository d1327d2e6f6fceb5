//! The loss of a projection to the vocabulary, some rows at a time: logits of all tokens never stand in memory.
//!
//! The gradient is computed on the way, while a chunk's logits are there, and waits for the backward pass in the sizes
//! of the input and the table. Beyond these nothing is larger than a chunk: its logits and their logarithms of
//! probabilities, and their gradient in the pass's kind.

use crate::attention::Pass;
use crate::attention::scores::{at_least_float, rows_of};
use crate::kernels::adamw::padded_rows;
use crate::kernels::multiply::{add_product, multiply_into, multiply_wide};
use crate::kernels::vocabulary_loss::{Logits, Losses, Objective};
use crate::libtorch::autograd::attach_backward;
use std::ops::Range;
use tch::{Device, Kind, TchError, Tensor, no_grad};

/// Bytes of a chunk's logits at most, but for [`CHUNK_ROWS`]. A chunk's products read or write the whole table: over fewer
/// rows they are slower.
const CHUNK_BYTES: i64 = 1 << 25;
const CHUNK_BYTES_ON_CUDA: i64 = 1 << 29;
/// Chunks have a multiple of so many rows, as suits the products' tiles.
const CHUNK_ROWS: i64 = 64;

/// The loss of some rows: scalars, float32 or in float64 float64.
#[derive(Debug)]
pub struct Loss {
    /// The sum of what is minimised, which a backward pass starts from.
    pub objective: Tensor,
    /// Σ `−log softmax(logits)[target]`, in nats, without a history.
    pub nats: Tensor,
}

impl Loss {
    /// That of plain `nats`, which are what is minimised.
    pub fn plain(nats: Tensor) -> Self {
        Self { nats: nats.detach(), objective: nats }
    }
}

/// The sums over rows of `−log softmax(x·tableᵀ)[target]` and of the `objective`. With a row's logits z over V ids, lse =
/// log Σ exp(z), smoothing e and z-loss c the latter is `(1 − e)·(lse − z[target]) + e·(lse − Σ z / V) + c·lse²`.
///
/// `x` is `[tokens, d_model]`, `table` `[vocabulary, d_model]`, `targets` int64 `[tokens]`, negative where a row does
/// not count. Products take operands of the pass's kind, the logits' gradient rounded to it once; logits, softmax, loss
/// and the sums of gradients are float32 (but the CPU rounds what its products in bfloat16 give).
///
/// # Errors
/// What libtorch reports.
pub fn vocabulary_loss(
    x: &Tensor,
    table: &Tensor,
    targets: &Tensor,
    objective: Objective,
    pass: Pass<'_>,
) -> Result<Loss, TchError> {
    loss_in_chunks((x, table, targets), objective, pass, chunk_rows(table, targets, pass))
}

/// What a model says of some tokens.
pub struct Prediction {
    /// Σ `−log softmax(logits)[target]`, a float64 scalar.
    pub nats: Tensor,
    /// The id with the highest logit, int64 `[tokens]`; any id where there is no target.
    pub best: Tensor,
}

/// [`vocabulary_loss`] without a gradient, and what would have been predicted.
pub fn predict(x: &Tensor, table: &Tensor, targets: &Tensor, pass: Pass<'_>) -> Prediction {
    predict_in_chunks(x, table, targets, pass, chunk_rows(table, targets, pass))
}

/// Rows of a chunk for a table and targets of these sizes, all chunks as equal as can be. There are two at least, but for
/// few rows: a tensor of all tokens' logits is what this file is there to spare.
fn chunk_rows(table: &Tensor, targets: &Tensor, pass: Pass<'_>) -> i64 {
    let tokens = targets.numel() as i64;
    let (bytes, size) = match (table.device(), pass.compute) {
        (Device::Cpu, _) => (CHUNK_BYTES, 4),
        (_, kind) => (CHUNK_BYTES_ON_CUDA, kind.elt_size_in_bytes() as i64),
    };
    let most = (bytes / size / table.size()[0] / CHUNK_ROWS).max(1) * CHUNK_ROWS;
    let chunks = ((tokens + most - 1) / most).max(2);
    let whole = chunks * CHUNK_ROWS;
    (tokens + whole - 1) / whole * CHUNK_ROWS
}

/// `tokens` rows in chunks of `rows` and a rest.
fn chunks(tokens: i64, rows: i64) -> impl Iterator<Item = Range<i64>> {
    (0..tokens).step_by(rows as usize).map(move |start| start..(start + rows).min(tokens))
}

fn loss_in_chunks(
    (x, table, targets): (&Tensor, &Tensor, &Tensor),
    objective: Objective,
    pass: Pass<'_>,
    rows: i64,
) -> Result<Loss, TchError> {
    let head = no_grad(|| Head::new(x, table, targets, pass));
    let mut gradients = Gradients::new(x, table, head.table.size()[0]);
    let (nats, whole): (Vec<_>, Vec<_>) = no_grad(|| {
        let losses = chunks(x.size()[0], rows).map(|rows| {
            if Logits::takes(&head.x, pass.compute) {
                return head.losses_by_kernel(rows, objective, &mut gradients);
            }
            let chunk = head.chunk(rows, objective);
            let losses = chunk.losses(objective);
            gradients.add(chunk, objective, &head);
            losses
        });
        losses.map(|losses| (losses.nats, losses.objective)).unzip()
    });
    let sum = |losses: &[Tensor]| no_grad(|| Tensor::cat(losses, 0).sum(None::<Kind>));
    let minimised = sum(if objective.is_plain() { &nats } else { &whole });
    let backward = move |upstream: &[Tensor]| no_grad(|| gradients.times(&upstream[0]));
    attach_backward(&[x, table], &[&minimised], Box::new(backward))?;
    Ok(match objective.is_plain() {
        true => Loss::plain(minimised),
        false => Loss { objective: minimised, nats: sum(&nats) },
    })
}

fn predict_in_chunks(x: &Tensor, table: &Tensor, targets: &Tensor, pass: Pass<'_>, rows: i64) -> Prediction {
    no_grad(|| {
        let head = Head::new(x, table, targets, pass);
        let (losses, best): (Vec<_>, Vec<_>) = chunks(x.size()[0], rows)
            .map(|rows| {
                let chunk = head.chunk(rows, Objective::default());
                (chunk.nats(), chunk.log_softmax.argmax(-1, false))
            })
            .unzip();
        Prediction { nats: Tensor::cat(&losses, 0).sum(Kind::Double), best: Tensor::cat(&best, 0) }
    })
}

/// Whether a gradient of `x` will be asked for: what is computed of it has a history then. Of no row nothing is computed.
fn differentiated(x: &Tensor) -> bool {
    x.narrow(0, 0, 0).neg().requires_grad()
}

/// The projection of all rows, of which a chunk at a time is computed.
struct Head {
    x: Tensor,               // [tokens, d_model]
    table: Tensor, // [vocabulary, d_model], in the kind of products; where kernels run with rows of zeros behind
    vocabulary: i64, // without those
    targets: Tensor, // int64 [tokens, 1]
    places: Tensor, // int64 [tokens, 1]: the targets, 0 where there is none
    ignored: Option<Tensor>, // bool [tokens, 1]; None where the host knows that all rows count
}

/// Some rows of it.
struct Chunk {
    x: Tensor,               // [rows, d_model], in the kind of products
    place: Option<Tensor>,   // [rows, vocabulary], likewise: for the gradient
    log_softmax: Tensor,     // [rows, vocabulary], at least float32
    log_of_target: Tensor,   // [rows, 1]
    lse: Option<Tensor>,     // [rows, 1]: log Σ exp(logits), where the objective asks for it
    ignored: Option<Tensor>, // bool [rows, 1]
    rows: Range<i64>,
    places: Tensor,
}

impl Head {
    fn new(x: &Tensor, table: &Tensor, targets: &Tensor, pass: Pass<'_>) -> Self {
        let targets = targets.view([-1, 1]);
        Self {
            x: x.detach(),
            table: if Logits::takes(x, pass.compute) { padded(table, pass) } else { narrow(table, pass) },
            vocabulary: table.size()[0],
            places: targets.clamp_min(0),
            ignored: ignored(&targets),
            targets,
        }
    }

    fn chunk(&self, rows: Range<i64>, objective: Objective) -> Chunk {
        let cut = |all: &Tensor| all.narrow(0, rows.start, rows.end - rows.start);
        let (places, ignored) = (cut(&self.places), self.ignored.as_ref().map(cut));
        // Zeros instead of rows that do not count: these add nothing to the table's gradient, whatever they hold.
        let x = without(cut(&self.x).to_kind(self.table.kind()), ignored.as_ref());
        let logits = rows_of(&multiply_wide(&x, &self.table.tr()), 1, 0, self.vocabulary);
        let log_softmax = at_least_float(&logits).log_softmax(-1, None::<Kind>);
        let log_of_target = log_softmax.gather(1, &places, false);
        let lse = || logits.gather(1, &places, false).to_kind(log_softmax.kind()) - &log_of_target;
        let lse = (objective.z_loss > 0.0).then(lse);
        // Logits in the kind of products leave their place to their gradient; others would be in its way.
        let place = (logits.kind() == x.kind()).then_some(logits);
        Chunk { x, place, log_softmax, log_of_target, lse, ignored, rows, places }
    }
}

impl Head {
    /// The losses of some rows by the kernel, whose gradient takes the logits' place. What rows without a target hold is
    /// multiplied by 0.
    fn losses_by_kernel(&self, rows: Range<i64>, objective: Objective, gradients: &mut Gradients) -> Losses {
        let count = rows.end - rows.start;
        let cut = |all: &Tensor| all.narrow(0, rows.start, count);
        let x = cut(&self.x).to_kind(self.table.kind());
        let mut logits = Logits::new(&x, count, self.vocabulary, self.table.kind());
        let matrix = logits.padded();
        multiply_into(&matrix, &x, &self.table.tr());
        let losses = logits.into_gradient(&cut(&self.targets).view([-1]), None, objective);
        gradients.add_product(&matrix, &x, rows, self);
        losses
    }
}

/// The table in the kind of products with as many rows as logits have places: products over other numbers of them are
/// several times slower.
fn padded(table: &Tensor, pass: Pass<'_>) -> Tensor {
    let rows = padded_rows(table.size()[0]);
    let copy = pass.copies.and_then(|copies| copies.with_rows(table, rows)).filter(|copy| copy.kind() == pass.compute);
    let missing = rows - table.size()[0];
    copy.unwrap_or_else(|| match missing {
        0 => narrow(table, pass),
        _ => narrow(table, pass).constant_pad_nd([0, 0, 0, missing]),
    })
}

/// The table in the kind of products.
fn narrow(table: &Tensor, pass: Pass<'_>) -> Tensor {
    let copy = pass.copies.and_then(|copies| copies.of(table)).filter(|copy| copy.kind() == pass.compute);
    copy.map_or_else(|| table.detach().to_kind(pass.compute), Tensor::shallow_clone)
}

/// The rows that do not count; `None` on the CPU where there is none: a GPU would have to be waited for.
fn ignored(targets: &Tensor) -> Option<Tensor> {
    let ignored = targets.less(0);
    (ignored.device() != Device::Cpu || ignored.any().int64_value(&[]) == 1).then_some(ignored)
}

/// `x` with zeros in the rows that do not count.
fn without(x: Tensor, ignored: Option<&Tensor>) -> Tensor {
    match ignored {
        Some(ignored) => x.masked_fill(ignored, 0.0),
        None => x,
    }
}

impl Chunk {
    /// `−log softmax(logits)[target]`, `[rows]`; 0 where there is no target.
    fn nats(&self) -> Tensor {
        without(self.log_of_target.neg(), self.ignored.as_ref()).view([-1])
    }

    /// That, and what is minimised, likewise.
    fn losses(&self, objective: Objective) -> Losses {
        let nats = self.nats();
        if objective.is_plain() {
            return Losses { objective: nats.shallow_clone(), nats };
        }
        let Objective { smoothing, z_loss } = objective;
        let mut whole = self.log_of_target.neg() * (1.0 - smoothing);
        if smoothing > 0.0 {
            whole -= self.log_softmax.mean_dim([-1i64].as_slice(), true, None::<Kind>) * smoothing;
        }
        if let Some(lse) = &self.lse {
            whole += lse.square() * z_loss;
        }
        Losses { objective: without(whole, self.ignored.as_ref()).view([-1]), nats }
    }

    /// The gradient of the objective by the logits in the kind of products, computed in float32 and rounded once. Rows
    /// without a target have values, too, which nobody may use.
    fn gradient(self, objective: Objective) -> Tensor {
        match objective.is_plain() {
            true => self.plain_gradient(),
            false => self.gradient_of(objective),
        }
    }

    /// softmax·(1 + 2·z_loss·lse) − smoothing / vocabulary − (1 − smoothing)·onehot.
    fn gradient_of(mut self, Objective { smoothing, z_loss }: Objective) -> Tensor {
        let share = smoothing / self.log_softmax.size()[1] as f64;
        let mut gradient = self.log_softmax.exp_();
        if let Some(lse) = &self.lse {
            let _ = gradient.g_mul_(&(lse * (2.0 * z_loss) + 1.0));
        }
        let _ = gradient.g_sub_scalar_(share);
        let _ = gradient.scatter_add_(1, &self.places, &(self.log_of_target.zeros_like() - (1.0 - smoothing)));
        match self.place {
            Some(mut place) => {
                place.copy_(&gradient);
                place
            }
            None => gradient.to_kind(self.x.kind()),
        }
    }

    /// softmax − onehot.
    fn plain_gradient(self) -> Tensor {
        let fresh = || Tensor::empty(self.log_softmax.size(), (self.x.kind(), self.x.device()));
        let place = self.place.unwrap_or_else(fresh);
        let mut gradient = self.log_softmax.exp_out(&place);
        let at_target = (self.log_of_target.exp() - 1.0).to_kind(gradient.kind());
        gradient.scatter_(1, &self.places, &at_target)
    }
}

/// The gradients of x and the table for a loss whose own gradient is 1; `None` where nobody asked for one.
struct Gradients {
    x: Option<Tensor>,     // [tokens, d_model], in the kind of x
    table: Option<Tensor>, // [rows of the head's table, d_model], at least float32
    vocabulary: i64,
    table_kind: Kind,
}

impl Gradients {
    fn new(x: &Tensor, table: &Tensor, rows: i64) -> Self {
        let of_table = || {
            let like = at_least_float(&table.detach().narrow(0, 0, 0));
            Tensor::zeros([rows, table.size()[1]], (like.kind(), like.device()))
        };
        Self {
            x: differentiated(x).then(|| x.detach().empty_like()),
            table: differentiated(table).then(of_table),
            vocabulary: table.size()[0],
            table_kind: table.kind(),
        }
    }

    /// Takes a chunk's share.
    fn add(&mut self, chunk: Chunk, objective: Objective, head: &Head) {
        if self.x.is_none() && self.table.is_none() {
            return;
        }
        let (rows, x, ignored) =
            (chunk.rows.clone(), chunk.x.shallow_clone(), chunk.ignored.as_ref().map(Tensor::shallow_clone));
        let gradient = chunk.gradient(objective);
        if let Some(all) = &self.x {
            let product = without(multiply_wide(&gradient, &head.table), ignored.as_ref());
            all.narrow(0, rows.start, rows.end - rows.start).copy_(&product);
        }
        if let Some(sum) = &mut self.table {
            add_product(sum, &gradient.tr(), &x);
        }
    }

    /// Takes the share of some rows from the logits' gradient, whose rows without a target are 0.
    fn add_product(&mut self, gradient: &Tensor, x: &Tensor, rows: Range<i64>, head: &Head) {
        if let Some(all) = &self.x {
            let place = all.narrow(0, rows.start, rows.end - rows.start);
            if place.kind() == gradient.kind() {
                multiply_into(&place, gradient, &head.table);
            } else {
                place.shallow_clone().copy_(&multiply_wide(gradient, &head.table));
            }
        }
        if let Some(sum) = &mut self.table {
            add_product(sum, &gradient.tr(), x);
        }
    }

    /// The gradients for the loss's own, a scalar.
    fn times(&mut self, upstream: &Tensor) -> Vec<Option<Tensor>> {
        let scaled =
            [self.x.take(), self.table.take()].map(|gradient| gradient.map(|mut gradient| gradient.g_mul_(upstream)));
        let [x, table] = scaled;
        vec![x, table.map(|table| rows_of(&table, 0, 0, self.vocabulary).to_kind(self.table_kind))]
    }
}

#[cfg(test)]
mod tests;
