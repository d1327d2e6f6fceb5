//! Outputs beside their references.

use anyhow::{Result, bail};

/// Hypotheses and the references of each.
#[derive(Debug, Clone)]
pub struct Corpus<'a> {
    /// What a system put out, a segment each.
    pub hypotheses: Vec<&'a str>,
    /// By segment, the references that count for it; their number may differ from segment to segment.
    pub references: Vec<Vec<&'a str>>,
}

impl<'a> Corpus<'a> {
    /// A corpus of parallel lists: `references[k][i]` is the k-th reference of `hypotheses[i]`.
    ///
    /// # Errors
    /// No hypothesis, no reference, or lists of unequal length.
    pub fn new(hypotheses: Vec<&'a str>, references: &[Vec<&'a str>]) -> Result<Self> {
        let count = hypotheses.len();
        if count == 0 {
            bail!("there is no hypothesis; expected one or more");
        }
        if references.is_empty() {
            bail!("there is no reference; expected one or more for each hypothesis");
        }
        if let Some(k) = references.iter().position(|list| list.len() != count) {
            let found = references[k].len();
            bail!("{count} hypotheses stand beside {found} references of list {}; expected as many", k + 1);
        }
        let references = (0..count).map(|i| references.iter().map(|list| list[i]).collect()).collect();
        Ok(Self { hypotheses, references })
    }

    /// How many segments there are.
    pub fn len(&self) -> usize {
        self.hypotheses.len()
    }

    /// Whether there is no segment.
    pub fn is_empty(&self) -> bool {
        self.hypotheses.is_empty()
    }

    /// How many references every segment has; `None` where the number differs.
    pub fn reference_count(&self) -> Option<usize> {
        let first = self.references.first().map_or(0, Vec::len);
        self.references.iter().all(|references| references.len() == first).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_parallel() {
        let corpus = Corpus::new(vec!["a", "b"], &[vec!["c", "d"], vec!["e", "f"]]).unwrap();
        assert_eq!(corpus.references, [["c", "e"], ["d", "f"]]);
        assert_eq!(corpus.reference_count(), Some(2));
        assert!(Corpus::new(vec!["a"], &[vec!["c", "d"]]).unwrap_err().to_string().contains("1 hypotheses stand"));
        assert!(Corpus::new(vec!["a"], &[]).is_err() && Corpus::new(vec![], &[vec![]]).is_err());
    }
}
