//! Which device takes a cell: how many run at one time, and what memory they need.

/// A device that cells run on.
#[derive(Debug, Clone, PartialEq)]
pub struct Seat {
    /// The device, as `--device` names it.
    pub device: String,
    /// Bytes that its cells may take together; `None` where the system does not tell.
    pub capacity: Option<u64>,
}

/// What runs where. Cells are numbers here.
#[derive(Debug)]
pub struct Packing {
    seats: Vec<Seat>,
    jobs: usize,
    /// Each running cell with its seat and the bytes that it needs.
    running: Vec<(usize, usize, u64)>,
}

impl Packing {
    /// No cell runs yet; at most `jobs` will.
    pub fn new(seats: Vec<Seat>, jobs: usize) -> Self {
        Self { seats, jobs, running: Vec::new() }
    }

    /// The devices.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Whether as many cells run as may.
    pub fn is_full(&self) -> bool {
        self.running.len() >= self.jobs
    }

    /// The seat for a cell that needs so many bytes: that with the fewest cells, of these the one with most memory left.
    /// An idle device takes any cell: if it is too small, nobody else pays. A cell that is to be `alone` takes an idle
    /// device only.
    pub fn place(&self, need: u64, alone: bool) -> Option<usize> {
        if self.is_full() {
            return None;
        }
        let fits = |seat: &usize| {
            let idle = self.cells(*seat) == 0;
            idle || !alone && self.left(*seat).is_none_or(|left| need <= left)
        };
        let order = |seat: &usize| (self.cells(*seat), std::cmp::Reverse(self.left(*seat).unwrap_or(u64::MAX)));
        (0..self.seats.len()).filter(fits).min_by_key(order)
    }

    /// Number of cells on a seat.
    pub fn cells(&self, seat: usize) -> usize {
        self.running.iter().filter(|(_, at, _)| *at == seat).count()
    }

    /// The cell runs on a seat and needs so many bytes; said again, what it needs is another figure.
    pub fn take(&mut self, cell: usize, seat: usize, need: u64) {
        self.leave(cell);
        self.running.push((cell, seat, need));
    }

    /// The cell has ended.
    pub fn leave(&mut self, cell: usize) {
        self.running.retain(|(known, _, _)| *known != cell);
    }

    /// Bytes of a seat that no cell takes.
    fn left(&self, seat: usize) -> Option<u64> {
        let taken: u64 = self.running.iter().filter(|(_, at, _)| *at == seat).map(|(_, _, need)| need).sum();
        self.seats[seat].capacity.map(|capacity| capacity.saturating_sub(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packing(capacities: &[u64], jobs: usize) -> Packing {
        let seat =
            |(index, capacity): (usize, &u64)| Seat { device: format!("cuda:{index}"), capacity: Some(*capacity) };
        Packing::new(capacities.iter().enumerate().map(seat).collect(), jobs)
    }

    /// Seats cells of these needs as far as they fit; where each one is.
    fn seated(packing: &mut Packing, needs: &[u64]) -> Vec<Option<usize>> {
        let mut seats = Vec::new();
        for (cell, need) in needs.iter().enumerate() {
            let seat = packing.place(*need, false);
            if let Some(seat) = seat {
                packing.take(cell, seat, *need);
            }
            seats.push(seat);
        }
        seats
    }

    #[test]
    fn small_cells_share_a_device_as_far_as_memory_goes() {
        assert_eq!(seated(&mut packing(&[10], 8), &[4, 4, 4, 2]), [Some(0), Some(0), None, Some(0)]);
    }

    #[test]
    fn devices_fill_evenly_and_no_more_run_than_may() {
        assert_eq!(seated(&mut packing(&[10, 12], 3), &[3, 3, 3, 3]), [Some(1), Some(0), Some(1), None]);
    }

    #[test]
    fn an_idle_device_takes_what_may_be_too_large() {
        let mut packing = packing(&[10], 8);
        assert_eq!(seated(&mut packing, &[50, 1]), [Some(0), None]);
        packing.leave(0);
        assert_eq!(packing.place(1, true), Some(0));
        packing.take(1, 0, 1);
        assert_eq!((packing.place(1, true), packing.place(1, false)), (None, Some(0)));
        // What it takes is measured.
        packing.take(1, 0, 10);
        assert_eq!((packing.place(1, false), packing.cells(0)), (None, 1));
    }

    #[test]
    fn an_unknown_capacity_is_no_limit() {
        let seats = vec![Seat { device: "cpu".into(), capacity: None }];
        assert_eq!(seated(&mut Packing::new(seats, 2), &[u64::MAX / 4; 3]), [Some(0), Some(0), None]);
    }
}
