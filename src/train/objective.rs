//! What training minimises.

use super::options::TrainOptions;
use crate::kernels::vocabulary_loss::Objective;

/// The column of train rows that has the mean of what is minimised, where that is not the plain loss.
pub const COLUMN: &str = "objective";

impl TrainOptions {
    /// What is minimised.
    pub fn objective(&self) -> Objective {
        Objective { smoothing: self.label_smoothing, z_loss: self.z_loss }
    }
}
