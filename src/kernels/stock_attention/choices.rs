//! What has been chosen in this process, and when there is a choice.

use super::Backend;
use super::problem::Problem;
use std::collections::HashMap;

/// Shapes that are timed in one process at most: where lengths are many, most come too seldom to be worth it.
const MOST_TIMED: usize = 64;

/// The kernel of each shape on each card that came.
#[derive(Debug, Default)]
pub struct Choices {
    known: HashMap<(usize, Problem), Backend>,
    /// Shapes that were timed in this process.
    timed: usize,
}

/// What stands around a choice.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The kernel that libtorch would take; the other is open only where this is cuDNN's.
    pub preferred: Backend,
    /// Whether work is being recorded, so that nothing can be timed.
    pub recording: bool,
    /// Whether the run is to give the same bits on every machine of a kind.
    pub deterministic: bool,
}

/// Where an answer for a shape comes from.
pub trait Search {
    /// What another process kept.
    fn kept(&self) -> Option<Backend>;
    /// By timing; `None` where nothing ran. Whether it is the `first` shape of this process.
    fn time(&self, first: bool) -> Option<Backend>;
}

impl Choices {
    /// The kernel for this shape on this card.
    pub fn backend(&mut self, (card, problem): (usize, &Problem), now: Now, search: &dyn Search) -> Backend {
        if now.deterministic || now.preferred != Backend::Cudnn {
            return now.preferred;
        }
        let key = (card, problem.clone());
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        if now.recording {
            return now.preferred;
        }
        let found = search.kept().or_else(|| self.time(search)).unwrap_or(now.preferred);
        self.known.insert(key, found);
        found
    }

    fn time(&mut self, search: &dyn Search) -> Option<Backend> {
        if self.timed == MOST_TIMED {
            return None;
        }
        self.timed += 1;
        search.time(self.timed == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Answers, and what was asked for.
    struct Answers {
        kept: Option<Backend>,
        timed: Option<Backend>,
        asked: RefCell<Vec<&'static str>>,
    }

    impl Answers {
        fn new(kept: Option<Backend>, timed: Option<Backend>) -> Self {
            Self { kept, timed, asked: RefCell::default() }
        }
    }

    impl Search for Answers {
        fn kept(&self) -> Option<Backend> {
            self.asked.borrow_mut().push("kept");
            self.kept
        }

        fn time(&self, first: bool) -> Option<Backend> {
            self.asked.borrow_mut().push(if first { "first" } else { "time" });
            self.timed
        }
    }

    const WORKING: Now = Now { preferred: Backend::Cudnn, recording: false, deterministic: false };

    fn problem(batch: i64) -> Problem {
        Problem {
            batch,
            heads: 8,
            queries: 256,
            keys: 256,
            query_width: 72,
            value_width: 64,
            causal: true,
            drops: true,
            training: true,
        }
    }

    #[test]
    fn a_shape_is_timed_once_on_each_card() {
        let (mut choices, answers) = (Choices::default(), Answers::new(None, Some(Backend::Flash)));
        for (card, batch) in [(0, 1), (0, 1), (0, 2), (1, 1), (0, 2), (1, 1)] {
            assert_eq!(choices.backend((card, &problem(batch)), WORKING, &answers), Backend::Flash);
        }
        assert_eq!(*answers.asked.borrow(), ["kept", "first", "kept", "time", "kept", "time"]);
    }

    #[test]
    fn what_is_kept_is_not_timed() {
        let (mut choices, answers) = (Choices::default(), Answers::new(Some(Backend::Flash), Some(Backend::Cudnn)));
        for _ in 0..2 {
            assert_eq!(choices.backend((0, &problem(1)), WORKING, &answers), Backend::Flash);
        }
        assert_eq!(*answers.asked.borrow(), ["kept"]);
    }

    #[test]
    fn nothing_is_timed_where_there_is_no_choice() {
        let (mut choices, answers) = (Choices::default(), Answers::new(None, Some(Backend::Flash)));
        let mut ask = |now: Now| choices.backend((0, &problem(1)), now, &answers);
        let recording = Now { recording: true, ..WORKING };
        assert_eq!(ask(recording), Backend::Cudnn);
        assert_eq!(ask(Now { deterministic: true, ..WORKING }), Backend::Cudnn);
        for deterministic in [false, true] {
            assert_eq!(ask(Now { preferred: Backend::Flash, deterministic, ..WORKING }), Backend::Flash);
        }
        assert!(answers.asked.borrow().is_empty());
        // A record takes what ran before it; a deterministic run does not.
        assert_eq!(ask(WORKING), Backend::Flash);
        assert_eq!(ask(recording), Backend::Flash);
        assert_eq!(ask(Now { deterministic: true, ..WORKING }), Backend::Cudnn);
    }

    #[test]
    fn cudnn_stays_where_nothing_was_timed() {
        let (mut choices, answers) = (Choices::default(), Answers::new(None, None));
        for _ in 0..2 {
            assert_eq!(choices.backend((0, &problem(1)), WORKING, &answers), Backend::Cudnn);
        }
        assert_eq!(*answers.asked.borrow(), ["kept", "first"]);
        let (mut choices, answers) = (Choices::default(), Answers::new(None, Some(Backend::Flash)));
        let flash = |batch: i64| choices.backend((0, &problem(batch)), WORKING, &answers) == Backend::Flash;
        assert_eq!((0..100).map(flash).filter(|&flash| flash).count(), MOST_TIMED);
    }
}
