//! Outputs beside their references.

use anyhow::{Result, ensure};

/// Hypotheses and the references of each.
#[derive(Debug, Clone)]
pub struct Corpus<'a> {
    /// What a system put out, a segment each.
    pub hypotheses: Vec<&'a str>,
    /// By segment, the references that count for it; their number may differ from segment to segment.
    pub references: Vec<Vec<&'a str>>,
}

impl<'a> Corpus<'a> {
    /// Hypotheses beside the references of each, as many lists as hypotheses; a list may be empty.
    ///
    /// # Errors
    /// No hypothesis, or lists of another number.
    pub fn new(hypotheses: Vec<&'a str>, references: Vec<Vec<&'a str>>) -> Result<Self> {
        let (count, found) = (hypotheses.len(), references.len());
        ensure!(count > 0, "there is no hypothesis; expected one or more");
        ensure!(count == found, "{count} hypotheses stand beside the references of {found}; expected as many");
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
        let corpus = Corpus::new(vec!["a", "b"], vec![vec!["c", "e"], vec!["d", "f"]]).unwrap();
        assert_eq!((corpus.len(), corpus.reference_count()), (2, Some(2)));
        assert_eq!(Corpus::new(vec!["a", "b"], vec![vec!["c"], vec![]]).unwrap().reference_count(), None);
        assert!(Corpus::new(vec!["a"], vec![vec![], vec![]]).unwrap_err().to_string().contains("1 hypotheses stand"));
        assert!(Corpus::new(vec![], vec![]).is_err());
    }
}
