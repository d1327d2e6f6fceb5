//! Update after update: batches come ahead, and on a GPU the work is recorded once and replayed.

use super::meter::{Counts, Meter};
use super::update::{StepInputs, Update};
use crate::libtorch::replay::Replays;
use crate::randomness::derive;
use crate::runs::batch_log;
use crate::tasks::Batches;
use crate::tasks::feed::{Fed, Feed, HostBatch, Origin, Packet, Places};
use anyhow::{Context, Result};
use std::sync::Arc;
use tch::Device;

/// The key of the update itself, where it is recorded apart from its micro-batches; no shape's.
const UPDATE: &[i64] = &[-1];

/// What updates are made of, and from where.
pub struct Course {
    /// The run's seed.
    pub seed: u64,
    /// Micro-batches per update.
    pub accumulate: u64,
    /// The first update, counted from 0.
    pub first: u64,
    /// The one after the last.
    pub end: u64,
    /// The learning rate of an update, counted from 0.
    pub rate: Box<dyn Fn(u64) -> f64 + Send>,
    /// Whether [`Stepper::take_lines`] is to tell of the batches.
    pub log: bool,
}

/// Does one update after the other.
pub struct Stepper<'a> {
    update: Update<'a>,
    accumulate: u64,
    feed: Feed<Note>,
    places: Places,
    replays: Replays,
    newest: Option<Fed<Note>>,
    lines: String,
}

/// What the host wants to know of a micro-batch.
struct Note {
    /// The seed of libtorch's generators.
    generator: u64,
    rate: f64,
    /// Tokens of the whole update.
    tokens: Counts,
    /// What `batches.jsonl` says of it, where that is written.
    line: Option<String>,
}

impl<'a> Stepper<'a> {
    /// Updates along `course` on batches of `update`'s task, as CUDA graphs where `graphs` and the device allows it.
    ///
    /// # Errors
    /// What libtorch or the system reports.
    pub fn new(update: Update<'a>, course: Course, device: Device, graphs: bool) -> Result<Self> {
        let replays = Replays::new(device, graphs)?;
        let accumulate = course.accumulate;
        let feed = Feed::new(device, packets(update.task.batches(), course))?;
        Ok(Self { update, accumulate, feed, places: Places::new(device), replays, newest: None, lines: String::new() })
    }

    /// Does the next update; answers its number of tokens, those of sources among them.
    ///
    /// # Errors
    /// What data, model or libtorch report; the end of the course.
    pub fn step(&mut self, meter: &mut Meter) -> Result<u64> {
        let mut tokens = Counts::default();
        for number in 1..=self.accumulate {
            let mut fed = self.feed.next(&mut self.places)?.context("the course of updates has ended")?;
            self.lines.extend(fed.note.line.take());
            tokens = fed.note.tokens;
            self.pass(&fed, number == self.accumulate, meter)?;
            self.newest = Some(fed);
        }
        meter.count(tokens);
        Ok(tokens.all())
    }

    /// The lines of `batches.jsonl` for the micro-batches of the updates since the last call.
    pub fn take_lines(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }

    /// Does another update on the newest micro-batch, with its learning rate and its dropout: what an update takes where
    /// data costs nothing.
    ///
    /// # Errors
    /// What model or libtorch report; where there was no step.
    pub fn repeat(&mut self, meter: &mut Meter) -> Result<()> {
        let fed = self.newest.take().context("no batch to repeat")?;
        for number in 1..=self.accumulate {
            self.pass(&fed, number == self.accumulate, meter)?;
        }
        meter.count(fed.note.tokens);
        self.newest = Some(fed);
        Ok(())
    }

    /// A micro-batch, and after the last one the update: one record where there is one of each.
    fn pass(&mut self, fed: &Fed<Note>, last: bool, meter: &Meter) -> Result<()> {
        let (update, sums) = (&self.update, meter.sums());
        tch::manual_seed(fed.note.generator as i64);
        let inputs = StepInputs::of(&fed.header);
        if self.accumulate == 1 {
            return self.replays.run(&fed.key, &mut || {
                update.micro_batch(&fed.arrays, &inputs, sums)?;
                update.finish(&inputs, fed.note.rate, sums)
            });
        }
        self.replays.run(&fed.key, &mut || update.micro_batch(&fed.arrays, &inputs, sums))?;
        match last {
            true => self.replays.run(UPDATE, &mut || update.finish(&inputs, fed.note.rate, sums)),
            false => Ok(()),
        }
    }

    /// Whether updates are replayed from records.
    pub fn captured(&self) -> bool {
        self.replays.replaying()
    }
}

/// The packets of a course, micro-batch by micro-batch.
fn packets(batches: Arc<dyn Batches>, course: Course) -> impl FnMut() -> Result<Option<Packet<Note>>> + Send + 'static {
    let mut step = course.first;
    let mut ready = Vec::new();
    move || {
        if ready.is_empty() {
            if step >= course.end {
                return Ok(None);
            }
            ready = packets_of(batches.as_ref(), &course, step)?;
            ready.reverse();
            step += 1;
        }
        Ok(ready.pop())
    }
}

/// Those of one update: each tells the targets of all.
fn packets_of(batches: &dyn Batches, course: &Course, step: u64) -> Result<Vec<Packet<Note>>> {
    let numbers = 0..course.accumulate;
    let list = numbers.map(|i| batches.micro_batch(step * course.accumulate + i)).collect::<Result<Vec<_>>>()?;
    let targets = list.iter().map(|batch| batch.target_tokens).sum();
    let tokens = Counts { targets, sources: list.iter().map(|batch| batch.source_tokens).sum() };
    let rate = (course.rate)(step);
    let packet = |(number, batch): (u64, HostBatch)| {
        let generator = derive(course.seed, "dropout", &[step, number]);
        let header = StepInputs::words(targets, rate, generator);
        let Origin { length, source_length, rows } = &batch.origin;
        let line = course.log.then(|| batch_log::line((step + 1, number), (*length, *source_length), rows));
        Packet { header, batch, note: Note { generator, rate, tokens, line } }
    };
    Ok((0..).zip(list).map(packet).collect())
}
