//! Batches on their way to the model: made on a thread of their own, copied while the device computes.

#[cfg(cuda_graphs)]
use crate::libtorch::copy_ahead::CopyAhead;
use crate::libtorch::memory::pinned;
use crate::panics;
use anyhow::Result;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use tch::{Device, Tensor};

/// Packets that wait at most, made and not yet on their way.
const WAITING: usize = 2;
/// Packets that are sent to the device before their turn.
const AHEAD: usize = 2;
/// Places on the device to which packets are sent. A place is free once its packet was taken, which the host waits for: it
/// is ahead of the device by the difference, about, and the device never waits for the next step's launch.
#[cfg(cuda_graphs)]
const SLOTS: usize = AHEAD + 4;

/// A part of a batch that passes through the model at once, on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostBatch {
    /// What the task's model reads, in the task's own order.
    pub arrays: Vec<HostArray>,
    /// Number of targets.
    pub target_tokens: u64,
    /// Number of tokens of sources, which are counted as read beside the targets; 0 where there are none.
    pub source_tokens: u64,
    /// Where its rows come from.
    pub origin: Origin,
}

/// Where the rows of a batch come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Tokens per row; of pairs those of the target.
    pub length: u64,
    /// Of pairs, tokens per row of the source.
    pub source_length: Option<u64>,
    /// Of each row, in the batch's order: its number in the split, the place of its first input token in the split's
    /// stream (of pairs, of the source's first token in that of the sources), and its number of targets.
    pub rows: Vec<[u64; 3]>,
}

/// Numbers with a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostArray {
    /// Its axes.
    pub shape: Vec<i64>,
    /// The numbers, in row-major order.
    pub values: Vec<i64>,
}

/// A batch, a few numbers beside it that the device reads, too, and what the host wants to know of it.
pub struct Packet<T> {
    /// Numbers for the device; as many in every packet of a feed.
    pub header: Vec<i64>,
    /// The batch.
    pub batch: HostBatch,
    /// For the host.
    pub note: T,
}

/// A packet on the device.
pub struct Fed<T> {
    /// The header, int64.
    pub header: Tensor,
    /// The batch's arrays, int64, at the place that all batches of these shapes have.
    pub arrays: Vec<Tensor>,
    /// Names the shapes: what is recorded of one batch holds for all with the same.
    pub key: Vec<i64>,
    /// For the host.
    pub note: T,
}

/// Where batches lie on the device: a place for each shape that stays, so that recorded work finds the next batch there.
pub struct Places {
    device: Device,
    header: Option<Tensor>,
    arrays: HashMap<Vec<i64>, Vec<Tensor>>,
}

impl Places {
    /// Places on `device`.
    pub fn new(device: Device) -> Self {
        Self { device, header: None, arrays: HashMap::new() }
    }
}

/// A queue of packets.
pub struct Feed<T> {
    // Before the thread, which ends once nobody receives.
    receiver: Option<Receiver<Result<Sent<T>>>>,
    thread: Option<JoinHandle<()>>,
    coming: VecDeque<(usize, Sent<T>)>,
    #[cfg(cuda_graphs)]
    ahead: Option<CopyAhead>,
    sent: usize,
}

/// A packet as one tensor on the host, in pinned memory where it goes to a GPU.
struct Sent<T> {
    words: Tensor,
    header: i64,
    shapes: Vec<Vec<i64>>,
    note: T,
}

impl<T: Send + 'static> Feed<T> {
    /// Packets for `device` from `produce`, until it answers `None`.
    ///
    /// # Errors
    /// What libtorch or the system reports.
    pub fn new(device: Device, produce: impl FnMut() -> Result<Option<Packet<T>>> + Send + 'static) -> Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread =
            std::thread::Builder::new().name("batches".into()).spawn(move || deliver(device, produce, &sender))?;
        Ok(Self {
            receiver: Some(receiver),
            thread: Some(thread),
            coming: VecDeque::new(),
            #[cfg(cuda_graphs)]
            ahead: match device {
                Device::Cuda(index) => Some(CopyAhead::new(index, SLOTS)?),
                _ => None,
            },
            sent: 0,
        })
    }

    /// The next packet, at its place; `None` after the last. The host waits for the device only where it is some steps
    /// ahead of it.
    ///
    /// # Errors
    /// What made the thread fail; what libtorch reports.
    pub fn next(&mut self, places: &mut Places) -> Result<Option<Fed<T>>> {
        self.fetch(places.device)?;
        let Some((number, sent)) = self.coming.pop_front() else { return Ok(None) };
        self.put(number, &sent, places)?;
        self.fetch(places.device)?;
        let header = places.header.as_ref().map_or_else(|| sent.words.narrow(0, 0, 0), Tensor::shallow_clone);
        let key = sent.key();
        let arrays = places.arrays[&key].iter().map(Tensor::shallow_clone).collect();
        Ok(Some(Fed { header, arrays, key, note: sent.note }))
    }

    /// Takes what the thread has ready, and sends it off; waits where there is nothing else.
    fn fetch(&mut self, device: Device) -> Result<()> {
        while self.coming.len() < AHEAD {
            let Some(receiver) = &self.receiver else { return Ok(()) };
            let received = match receiver.try_recv() {
                Err(TryRecvError::Empty) if self.coming.is_empty() => receiver.recv().ok(),
                Err(TryRecvError::Empty) => return Ok(()),
                received => received.ok(),
            };
            let Some(sent) = received else {
                self.receiver = None;
                return Ok(());
            };
            let (number, sent) = (self.sent, sent?);
            self.send(number, &sent, device)?;
            self.sent += 1;
            self.coming.push_back((number, sent));
        }
        Ok(())
    }

    #[cfg(cuda_graphs)]
    fn send(&mut self, number: usize, sent: &Sent<T>, device: Device) -> Result<()> {
        match &mut self.ahead {
            Some(ahead) => Ok(ahead.send(number % SLOTS, &sent.words, device)?),
            None => Ok(()),
        }
    }

    #[cfg(not(cuda_graphs))]
    fn send(&mut self, _number: usize, _sent: &Sent<T>, _device: Device) -> Result<()> {
        Ok(())
    }

    /// Brings a packet to its place.
    fn put(&self, number: usize, sent: &Sent<T>, places: &mut Places) -> Result<()> {
        if places.device == Device::Cpu {
            // Where it is is as good a place as any: nothing is recorded on the CPU.
            let mut parts = sent.parts().into_iter();
            places.header = parts.next();
            places.arrays.insert(sent.key(), parts.collect());
            return Ok(());
        }
        let device = places.device;
        let empty = |x: &Tensor| Tensor::f_empty(x.size(), (x.kind(), device));
        let parts = sent.parts();
        if places.header.is_none() {
            places.header = Some(empty(&parts[0])?);
        }
        let arrays = match places.arrays.entry(sent.key()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(parts[1..].iter().map(empty).collect::<Result<Vec<_>, _>>()?),
        };
        let list: Vec<&Tensor> = places.header.iter().chain(&*arrays).collect();
        self.copy(number, &parts, &list)
    }

    fn copy(&self, number: usize, parts: &[Tensor], places: &[&Tensor]) -> Result<()> {
        #[cfg(cuda_graphs)]
        if let Some(ahead) = &self.ahead {
            return Ok(ahead.take(number % SLOTS, places)?);
        }
        let _ = number;
        for (part, place) in parts.iter().zip(places) {
            place.shallow_clone().f_copy_(part)?;
        }
        Ok(())
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            // Its panics have come as errors.
            let _ = thread.join();
        }
    }
}

/// What the thread does.
fn deliver<T>(
    device: Device,
    mut produce: impl FnMut() -> Result<Option<Packet<T>>>,
    sender: &SyncSender<Result<Sent<T>>>,
) {
    loop {
        let made = panics::catch(|| produce()?.map(|packet| Sent::pack(packet, device)).transpose());
        let Some(sent) = made.transpose() else { return };
        let failed = sent.is_err();
        if sender.send(sent).is_err() || failed {
            return;
        }
    }
}

impl<T> Sent<T> {
    fn pack(packet: Packet<T>, device: Device) -> Result<Self> {
        let Packet { mut header, batch, note } = packet;
        let length = header.len() as i64;
        let mut shapes = Vec::new();
        for array in batch.arrays {
            header.extend(array.values);
            shapes.push(array.shape);
        }
        let words = Tensor::f_from_slice(&header)?;
        let words = if device == Device::Cpu { words } else { pinned(&words)? };
        Ok(Self { words, header: length, shapes, note })
    }

    /// The header and the arrays, as views.
    fn parts(&self) -> Vec<Tensor> {
        let mut parts = vec![self.words.narrow(0, 0, self.header)];
        let mut first = self.header;
        for shape in &self.shapes {
            let count = shape.iter().product();
            parts.push(self.words.narrow(0, first, count).view(shape.as_slice()));
            first += count;
        }
        parts
    }

    fn key(&self) -> Vec<i64> {
        self.shapes.iter().flat_map(|shape| [&[shape.len() as i64], shape.as_slice()].concat()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: i64) -> Packet<i64> {
        let length = 2 + number % 2;
        let array = HostArray { shape: vec![1, length], values: vec![10 * number; length as usize] };
        let batch = HostBatch {
            arrays: vec![array.clone(), array],
            target_tokens: 1,
            source_tokens: 0,
            origin: Origin::default(),
        };
        Packet { header: vec![number, -number], batch, note: number }
    }

    fn read(device: Device) {
        let mut numbers = 0..7;
        let mut feed = Feed::new(device, move || Ok(numbers.next().map(packet))).unwrap();
        let mut places = Places::new(device);
        let list = |tensor: &Tensor| Vec::<i64>::try_from(tensor.to_device(Device::Cpu).view([-1])).unwrap();
        for number in 0..7 {
            let fed = feed.next(&mut places).unwrap().unwrap();
            assert_eq!(fed.note, number);
            assert_eq!(list(&fed.header), [number, -number]);
            assert_eq!(fed.arrays[1].size(), [1, 2 + number % 2]);
            assert!(fed.arrays.iter().all(|array| list(array).iter().all(|word| *word == 10 * number)));
        }
        assert!(feed.next(&mut places).unwrap().is_none());
    }

    #[test]
    fn packets_arrive_whole_and_in_order() {
        read(Device::Cpu);
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn gpu_packets_arrive_whole_and_in_order() {
        if !tch::Cuda::is_available() {
            return eprintln!("skipped: no CUDA device");
        }
        read(Device::Cuda(0));
    }

    #[test]
    fn a_failure_of_the_thread_is_an_error() {
        crate::panics::silence();
        let mut feed: Feed<()> = Feed::new(Device::Cpu, || panic!("the text ended")).unwrap();
        let error = feed.next(&mut Places::new(Device::Cpu)).err().unwrap();
        assert!(error.to_string().contains("the text ended"), "{error}");
        let mut feed: Feed<()> = Feed::new(Device::Cpu, || anyhow::bail!("no such file")).unwrap();
        assert_eq!(feed.next(&mut Places::new(Device::Cpu)).err().unwrap().to_string(), "no such file");
    }

    #[test]
    fn a_feed_that_is_left_ends_its_thread() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let feed = Feed::new(Device::Cpu, move || {
            let _ = &sender;
            Ok(Some(packet(1)))
        });
        drop(feed.unwrap());
        assert!(receiver.recv().is_err());
    }
}
