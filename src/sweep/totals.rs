//! What a call of a sweep took, and how well it used its devices.

use super::time;
use serde::Serialize;
use std::time::Duration;

/// The time that a call took, and that its devices were at work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    /// Seconds from start to end.
    pub total_s: f64,
    /// Hours in which a device had a cell, or several, over all devices.
    pub device_hours: f64,
    /// The same as a share of all devices' time.
    pub utilisation: f64,
    /// Hours of all cells' processes: more than those of devices where cells shared them.
    pub cell_hours: f64,
    /// Each device.
    pub devices: Vec<DeviceTotals>,
}

/// The same of one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceTotals {
    /// As `--device` names it.
    pub device: String,
    /// Processes that were started on it.
    pub processes: u64,
    /// Seconds in which it had a cell, or several.
    pub busy_s: f64,
}

impl Totals {
    /// Nothing has been done yet.
    pub fn new(devices: impl Iterator<Item = String>) -> Self {
        let devices = devices.map(|device| DeviceTotals { device, processes: 0, busy_s: 0.0 }).collect();
        Self { total_s: 0.0, device_hours: 0.0, utilisation: 0.0, cell_hours: 0.0, devices }
    }

    /// Some time went by, in which each device had so many cells.
    pub fn pass(&mut self, time: Duration, cells: impl Iterator<Item = usize>) {
        let seconds = time.as_secs_f64();
        self.total_s += seconds;
        for (device, cells) in self.devices.iter_mut().zip(cells) {
            self.cell_hours += cells as f64 * seconds / 3600.0;
            device.busy_s += if cells > 0 { seconds } else { 0.0 };
        }
        let busy: f64 = self.devices.iter().map(|device| device.busy_s).sum();
        self.device_hours = busy / 3600.0;
        self.utilisation = if self.total_s > 0.0 { busy / (self.total_s * self.devices.len() as f64) } else { 0.0 };
    }

    /// All of it in one line.
    pub fn line(&self) -> String {
        format!(
            "{} in all, {:.3} device-hours, {:.0}% of the devices' time; {:.1} cells at one time",
            time::tell(Duration::from_secs_f64(self.total_s)),
            self.device_hours,
            100.0 * self.utilisation,
            if self.device_hours > 0.0 { self.cell_hours / self.device_hours } else { 0.0 }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_busy_while_they_have_cells() {
        let mut totals = Totals::new(["cuda:0", "cuda:1"].map(String::from).into_iter());
        assert_eq!(totals.utilisation, 0.0);
        totals.pass(Duration::from_secs(1800), [2, 1].into_iter());
        totals.pass(Duration::from_secs(1800), [1, 0].into_iter());
        assert_eq!((totals.total_s, totals.device_hours, totals.utilisation), (3600.0, 1.5, 0.75));
        assert_eq!(totals.cell_hours, 2.0);
        assert_eq!(totals.line(), "1h 00m in all, 1.500 device-hours, 75% of the devices' time; 1.3 cells at one time");
    }
}
