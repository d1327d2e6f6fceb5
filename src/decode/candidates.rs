//! The most likely tokens of every row of logits, brought to the host in one copy.

use super::sampling::check_finite;
use anyhow::{Result, ensure};
use std::cmp::Ordering;
use tch::{Device, Kind, Tensor};

/// A token that may follow a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// The token.
    pub id: u32,
    /// What the model says of it.
    pub logit: f64,
    /// The logarithm of its probability among the whole vocabulary.
    pub log_probability: f64,
}

/// The candidates of one row.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// The most likely first, of equal logits the lowest id.
    pub candidates: Vec<Candidate>,
    /// The logit that the last candidates share with tokens beyond them: which of these they are is not settled.
    pub unsettled: Option<f64>,
}

/// The candidates of all rows.
pub(super) struct Candidates {
    /// By row.
    pub rows: Vec<Row>,
    logits: Tensor, // [rows, vocabulary]: -inf for what may not follow
    width: i64,
}

/// What may not follow.
pub(super) struct Mask<'a> {
    /// Tokens that never do: int64, where the logits lie.
    pub never: &'a Tensor,
    /// Pairs of a row and a token.
    pub blocked: &'a [(usize, u32)],
}

/// The vocabulary of logits of so many rows.
pub(super) fn vocabulary(logits: &Tensor, rows: usize, end: u32) -> Result<usize> {
    let size = logits.size();
    let &[found, vocabulary] = size.as_slice() else {
        anyhow::bail!("logits have the shape {size:?}, expected two axes")
    };
    ensure!(found == rows as i64, "the model answered for {found} rows, expected {rows}");
    ensure!(i64::from(end) < vocabulary, "the end token {end} is not in the vocabulary of {vocabulary}");
    Ok(vocabulary as usize)
}

/// Logits of rows as float32, or as float64 where they are.
fn kind(logits: &Tensor) -> Kind {
    if logits.kind() == Kind::Double { Kind::Double } else { Kind::Float }
}

impl Candidates {
    /// The `width` most likely tokens of each row of `logits` `[rows, vocabulary]`, or as many as may follow. Only
    /// rows for which `counts` holds are looked at; the others have none.
    ///
    /// # Errors
    /// Logits of a row that counts that are not finite.
    pub fn read(logits: &Tensor, mask: Mask<'_>, width: usize, counts: impl Fn(usize) -> bool) -> Result<Self> {
        let vocabulary = logits.size()[1];
        let logits = logits.to_kind(kind(logits));
        // Row by row, whatever the number of rows: no row's last bits depend on the others.
        let log_probabilities = logits.log_softmax(-1, None::<Kind>);
        let (least, most) = logits.aminmax(-1, true);
        let masked = masked(&logits, mask);
        let width = vocabulary.min(width as i64);
        let (values, ids) = masked.topk(vocabulary.min(width + 1), -1, true, true);
        let chosen = log_probabilities.gather(-1, &ids, false);
        // Ids are exact in float64.
        let parts = [&values, &chosen, &ids, &least, &most].map(|part| part.to_kind(Kind::Double));
        let table = Vec::<Vec<f64>>::try_from(Tensor::cat(&parts, -1).to_device(Device::Cpu))?;
        let mut rows = Vec::with_capacity(table.len());
        for (number, numbers) in table.iter().enumerate() {
            rows.push(if counts(number) { row(numbers, width as usize)? } else { Row::default() });
        }
        Ok(Self { rows, logits: masked, width })
    }

    /// Settles which of equally likely tokens are the candidates of `rows`: those with the lowest ids.
    pub fn settle(&mut self, rows: &[usize]) -> Result<()> {
        let unsettled: Vec<usize> = rows.iter().copied().filter(|&row| self.rows[row].unsettled.is_some()).collect();
        if unsettled.is_empty() {
            return Ok(());
        }
        let (vocabulary, device) = (self.logits.size()[1], self.logits.device());
        let numbers: Vec<i64> = unsettled.iter().map(|&row| row as i64).collect();
        let shared: Vec<f64> = unsettled.iter().filter_map(|&row| self.rows[row].unsettled).collect();
        let shared = Tensor::from_slice(&shared).to_device(device).to_kind(self.logits.kind()).unsqueeze(1);
        let logits = self.logits.index_select(0, &Tensor::from_slice(&numbers).to_device(device));
        // The lower an id, the higher its key.
        let keys = Tensor::arange_start_step(vocabulary, 0, -1, (Kind::Int64, device));
        let keys = logits.eq_tensor(&shared).to_kind(Kind::Int64) * keys;
        let (keys, _) = keys.topk(self.width, -1, true, true);
        for (row, keys) in unsettled.into_iter().zip(Vec::<Vec<i64>>::try_from(keys.to_device(Device::Cpu))?) {
            let row = &mut self.rows[row];
            let shared = row.unsettled.take();
            let equal = row.candidates.iter_mut().filter(|candidate| Some(candidate.logit) == shared);
            for (candidate, key) in equal.zip(keys) {
                candidate.id = (vocabulary - key) as u32;
            }
        }
        Ok(())
    }
}

/// The logits, -inf for what may not follow.
fn masked(logits: &Tensor, mask: Mask<'_>) -> Tensor {
    let vocabulary = logits.size()[1];
    let masked = logits.index_fill(1, mask.never, f64::NEG_INFINITY);
    if !mask.blocked.is_empty() {
        let places: Vec<i64> = mask.blocked.iter().map(|&(row, id)| row as i64 * vocabulary + i64::from(id)).collect();
        let places = Tensor::from_slice(&places).to_device(logits.device());
        let _ = masked.view([-1]).index_fill_(0, &places, f64::NEG_INFINITY);
    }
    masked
}

/// A row of one more than `width` logits, their log-probabilities and ids, then the least and the most of all logits.
fn row(numbers: &[f64], width: usize) -> Result<Row> {
    let (numbers, bounds) = numbers.split_at(numbers.len() - 2);
    check_finite(bounds.iter().all(|bound| bound.is_finite()))?;
    let count = numbers.len() / 3;
    let candidate = |i: usize| Candidate {
        id: numbers[2 * count + i] as u32,
        logit: numbers[i],
        log_probability: numbers[count + i],
    };
    let mut candidates: Vec<Candidate> = (0..count).map(candidate).collect();
    let beyond = candidates.get(width).map(|candidate| candidate.logit);
    candidates.truncate(width);
    let unsettled = beyond.filter(|beyond| candidates.last().is_some_and(|last| last.logit == *beyond));
    // Probabilities may be too small for their kind as well.
    candidates.retain(|candidate| candidate.logit.is_finite() && candidate.log_probability.is_finite());
    let order =
        |a: &Candidate, b: &Candidate| b.logit.partial_cmp(&a.logit).unwrap_or(Ordering::Equal).then(a.id.cmp(&b.id));
    candidates.sort_unstable_by(order);
    Ok(Row { candidates, unsettled: unsettled.filter(|logit| logit.is_finite()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(logits: &[&[f32]], never: &[i64], blocked: &[(usize, u32)], width: usize) -> Result<Candidates> {
        let logits = Tensor::from_slice2(logits);
        Candidates::read(&logits, Mask { never: &Tensor::from_slice(never), blocked }, width, |row| row < 2)
    }

    fn ids(row: &Row) -> Vec<u32> {
        row.candidates.iter().map(|candidate| candidate.id).collect()
    }

    #[test]
    fn the_most_likely_come_first_and_what_may_not_follow_never() {
        let logits: &[&[f32]] = &[&[0.0, 3.0, 1.0, 2.0], &[5.0, 4.0, 3.0, 2.0], &[f32::NAN; 4]];
        let found = read(logits, &[1], &[(1, 0), (1, 3)], 2).unwrap();
        assert_eq!(ids(&found.rows[0]), [3, 2]);
        assert_eq!(ids(&found.rows[1]), [2]);
        assert!(found.rows[2].candidates.is_empty());
        let total: f64 = logits[0].iter().map(|logit| f64::from(*logit).exp()).sum();
        approx::assert_abs_diff_eq!(found.rows[0].candidates[1].log_probability, 1.0 - total.ln(), epsilon = 1e-6);
        assert!(found.rows[..2].iter().all(|row| row.unsettled.is_none()));
    }

    #[test]
    fn of_equal_tokens_the_lowest_are_settled_on() {
        for half in [false, true] {
            let logits: Vec<f32> = (0..4000)
                .map(|i| {
                    if i % 500 == 250 {
                        2.0
                    } else if i == 3000 {
                        3.0
                    } else {
                        0.0
                    }
                })
                .collect();
            let logits = Tensor::from_slice(&logits).expand([2, 4000], false).contiguous();
            let logits = if half { logits.to_kind(Kind::BFloat16) } else { logits };
            let never = Tensor::from_slice(&[250i64]);
            let mut found = Candidates::read(&logits, Mask { never: &never, blocked: &[] }, 4, |_| true).unwrap();
            assert_eq!(found.rows[0].unsettled, Some(2.0));
            assert_eq!(found.rows[0].candidates[0].id, 3000);
            found.settle(&[1, 0]).unwrap();
            for row in &found.rows {
                assert_eq!((ids(row), row.unsettled), (vec![3000, 750, 1250, 1750], None));
            }
        }
    }

    #[test]
    fn logits_that_are_not_finite_are_an_error() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = read(&[&[0.0, 1.0], &[0.0, wrong]], &[1], &[], 1).err().unwrap();
            assert!(error.to_string().contains("not finite"), "{error}");
        }
    }
}
