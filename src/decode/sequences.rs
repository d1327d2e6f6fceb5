//! Sequences of one length that grow together, token by token, on the device.

use crate::attention::cached::Cached;
use crate::attention::{Clock, Pass};
use crate::libtorch::replay::Replays;
use crate::model::DecoderState;
use crate::model::decoder::{Bucket, PreparedDecoder, Step};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// Keys that a step reads at least, where the model is longer: few records serve short texts.
const LEAST_REACH: i64 = 64;
/// What an excluded token's logit becomes: below all that a model gives, and finite in every kind.
const EXCLUDED: f64 = -3e38;

/// A batch of sequences of one length, and the model that reads them. A step works on tensors that stay where they
/// are: on CUDA it is recorded once for each reach into the state, and replayed.
pub struct Sequences<'a> {
    model: Rc<PreparedDecoder<'a>>,
    excluded: Option<u32>,
    batch: i64,
    state: DecoderState,
    cached: Option<Cached>,
    clock: Clock,
    tokens: Tensor,  // int64 [rows]: those that the next step reads
    logits: Tensor,  // [batch, vocabulary]: of the step before
    history: Tensor, // int64 [batch, capacity + 1]: all tokens, those of the next step included
    buckets: BTreeMap<i64, Bucket>,
    replays: Replays,
}

/// How many positions a step at `position` reads, of a model of `max_length`: powers of two.
fn reach(position: i64, max_length: i64) -> i64 {
    (position as u64 + 1).next_power_of_two().max(LEAST_REACH as u64).min(max_length as u64) as i64
}

impl<'a> Sequences<'a> {
    /// Room for `batch` sequences of `length` tokens, or of as many as the model reads. `excluded` is never chosen by
    /// [`Sequences::step`]; `graphs` lets a CUDA device record steps.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn new(
        model: Rc<PreparedDecoder<'a>>,
        (batch, length): (i64, i64),
        excluded: Option<u32>,
        graphs: bool,
    ) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let (decoder, compute) = (model.decoder(), model.compute());
        let device = decoder.device();
        let replays = Replays::new(device, graphs)?;
        let capacity = reach(length.max(1) - 1, decoder.max_length());
        let state = decoder.state(batch, capacity, compute);
        // Products of CUDA add a bias and apply ReLU by themselves from two rows on.
        let rows = if device == Device::Cpu { batch } else { batch.max(2) };
        Ok(Self {
            excluded,
            batch,
            cached: model.cached(&state),
            state,
            clock: Clock::new(rows, device),
            tokens: Tensor::zeros([rows], (Kind::Int64, device)),
            logits: Tensor::zeros([batch, decoder.vocabulary()], (compute, device)),
            history: Tensor::zeros([batch, capacity + 1], (Kind::Int64, device)),
            buckets: BTreeMap::new(),
            replays,
            model,
        })
    }

    /// Whether these are `batch` sequences with room for `length` tokens, or for as many as the model reads.
    pub fn fit(&self, batch: i64, length: i64) -> bool {
        batch == self.batch && length.min(self.model.decoder().max_length()) <= self.state.capacity()
    }

    /// Begins anew with `tokens`, int64 `[batch, n]` with n at least 1. The first n − 1 are read at once, the last by
    /// the next step.
    ///
    /// # Errors
    /// More tokens than there is room for.
    pub fn begin(&mut self, tokens: &Tensor) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let n = tokens.size()[1];
        let capacity = self.state.capacity();
        ensure!(n <= capacity, "{n} tokens are longer than the state, which has room for {capacity}");
        self.history.narrow(1, 0, n).copy_(tokens);
        self.tokens.narrow(0, 0, self.batch).copy_(&tokens.select(1, n - 1));
        self.state.set_length(0);
        if n > 1 {
            let pass = Pass::evaluation(self.model.compute());
            let _ = self.model.decoder().read(&self.history.narrow(1, 0, n - 1), &mut self.state, pass)?;
        }
        self.clock.set(n - 1);
        Ok(())
    }

    /// Number of tokens that have been read.
    pub fn length(&self) -> i64 {
        self.state.length()
    }

    /// Whether there is no room for another step.
    pub fn is_full(&self) -> bool {
        self.length() == self.state.capacity()
    }

    /// Reads one more token of each sequence; [`Sequences::logits`] tell of the next. With `choose` the most likely
    /// one, of equal ones that of the lowest id, is the next, all on the device: the host does not wait. Else it is
    /// [`Sequences::put`].
    ///
    /// # Errors
    /// No more room; what libtorch reports.
    pub fn step(&mut self, choose: bool) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let (length, capacity) = (self.length(), self.state.capacity());
        ensure!(length < capacity, "the state has room for {capacity} tokens only");
        let reach = self.reach(length);
        let Self { model, excluded, batch, state, cached, clock, tokens, logits, history, buckets, replays } = self;
        let bucket = &*buckets.entry(reach).or_insert_with(|| model.bucket(reach, cached.is_some()));
        replays.run(&[reach, i64::from(choose)], &mut || {
            model.step(&Step { tokens, clock, state, cached: cached.as_ref(), logits }, bucket);
            clock.advance();
            if choose {
                if let Some(excluded) = excluded {
                    let _ = logits.narrow(1, i64::from(*excluded), 1).fill_(EXCLUDED);
                }
                let chosen = logits.argmax_out(&tokens.narrow(0, 0, *batch), -1, false);
                let _ = history.index_copy_(1, &clock.position(), &chosen.unsqueeze(1));
            }
            Ok(())
        })?;
        self.state.set_length(length + 1);
        Ok(())
    }

    /// Whether steps are replayed from records.
    pub fn captured(&self) -> bool {
        self.replays.replaying()
    }

    /// How far the step at `position` reads. The stock kernel stops at the position itself.
    fn reach(&self, position: i64) -> i64 {
        match self.cached {
            Some(_) if self.model.is_dot_product() => self.state.capacity(),
            _ => reach(position, self.model.decoder().max_length()),
        }
    }

    /// Logits of the next token, `[batch, vocabulary]` in the kind of computation: overwritten by the next step.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }

    /// The next token of each sequence, which the next step reads: int64 `[batch]`.
    pub fn put(&mut self, tokens: &Tensor) {
        self.tokens.narrow(0, 0, self.batch).copy_(tokens);
        self.history.narrow(1, self.length(), 1).copy_(&tokens.unsqueeze(1));
    }

    /// The tokens at some positions, int64 `[batch, n]`: a view of what steps go on writing.
    pub fn tokens(&self, positions: Range<i64>) -> Tensor {
        self.history.narrow(1, positions.start, positions.end - positions.start)
    }
}
