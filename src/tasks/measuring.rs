//! The passes of an evaluation over its batches: losses and right first choices, summed on the device.

use super::feed::{Fed, Feed, Places};
use crate::attention::Pass;
use crate::libtorch::replay::Replays;
use crate::model::vocabulary_loss::{Prediction, predict};
use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// What stays from one evaluation to the next, so that its passes are recorded once.
pub struct Measuring {
    places: Places,
    replays: Replays,
    nats: Tensor,  // float64 scalar
    right: Tensor, // int64 scalar
}

/// Of a batch's arrays what is projected to the vocabulary, `[tokens, d_model]`, and the targets, int64 `[tokens]`.
pub type Hidden<'a> = dyn Fn(&[Tensor], Pass<'_>) -> Result<(Tensor, Tensor)> + 'a;

/// What a pass computes.
pub struct Passes<'a> {
    /// The model before its projection.
    pub hidden: &'a Hidden<'a>,
    /// The table of the projection, `[vocabulary, d_model]`.
    pub output: &'a Tensor,
    /// The kind in which products are computed.
    pub compute: Kind,
    /// First choices are wanted; such passes are not recorded.
    pub choices: bool,
}

impl Measuring {
    /// Passes on `device`, which run as CUDA graphs where they can, with `graphs`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn new(device: Device, graphs: bool) -> Result<Self> {
        let zero = |kind| Tensor::zeros([0i64; 0].as_slice(), (kind, device));
        let (nats, right) = (zero(Kind::Double), zero(Kind::Int64));
        Ok(Self { places: Places::new(device), replays: Replays::new(device, graphs)?, nats, right })
    }

    /// Begins a sum.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn begin(&mut self) -> Result<()> {
        let (_, _) = (self.nats.f_zero_()?, self.right.f_zero_()?);
        Ok(())
    }

    /// Adds the next batch; answers it, and the first choices for its targets where they are wanted. `None` after the last.
    ///
    /// # Errors
    /// Batches that cannot be made; what the model and libtorch report.
    pub fn next<N: Send + 'static>(
        &mut self,
        feed: &mut Feed<N>,
        passes: &Passes<'_>,
    ) -> Result<Option<(Fed<N>, Option<Tensor>)>> {
        let Some(fed) = feed.next(&mut self.places)? else { return Ok(None) };
        let Self { replays, nats, right, .. } = self;
        let measure = || passes.measure(&fed.arrays, (nats, right));
        let choices = match passes.choices {
            true => Some(measure()?),
            false => {
                replays.run(&fed.key, &mut || measure().map(drop))?;
                None
            }
        };
        Ok(Some((fed, choices)))
    }

    /// The sum of losses in nats, and the number of right first choices. The host waits for both.
    pub fn sums(&self) -> (f64, i64) {
        (self.nats.double_value(&[]), self.right.int64_value(&[]))
    }
}

impl Passes<'_> {
    /// Adds the loss of a batch to `nats` and the number of right first choices to `right`; answers the choices.
    fn measure(&self, arrays: &[Tensor], (nats, right): (&Tensor, &Tensor)) -> Result<Tensor> {
        let pass = Pass::evaluation(self.compute);
        let (hidden, targets) = (self.hidden)(arrays, pass)?;
        let Prediction { nats: of_batch, best } = predict(&hidden, self.output, &targets, pass);
        let _ = nats.shallow_clone().g_add_(&of_batch);
        let _ = right.shallow_clone().g_add_(&best.eq_tensor(&targets).sum(Kind::Int64));
        Ok(best)
    }
}
