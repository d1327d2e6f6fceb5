//! A kernel with its arguments.

use super::Text;
use libc::c_void;
use std::marker::PhantomData;
use tch::{Device, Tensor};

/// A launch that is being put together. Its arguments come in the order of the kernel's own.
pub struct Launch<'a> {
    text: &'a Text,
    kernel: &'static str,
    blocks: [u32; 3],
    threads: [u32; 3],
    shared: u32,
    arguments: Vec<Argument>,
    device: Device,
    tensors: PhantomData<&'a Tensor>,
}

/// The bytes of an argument, at an address that suits any.
#[repr(align(16))]
struct Argument(Vec<u64>);

impl<'a> Launch<'a> {
    /// `kernel` of `text` over so many blocks of so many threads.
    pub fn new(text: &'a Text, kernel: &'static str, blocks: [i64; 3], threads: [i64; 3]) -> Self {
        let sizes = |sizes: [i64; 3]| sizes.map(|size| size as u32);
        let (blocks, threads) = (sizes(blocks), sizes(threads));
        let (arguments, device) = (Vec::new(), Device::Cpu);
        Self { text, kernel, blocks, threads, shared: 0, arguments, device, tensors: PhantomData }
    }

    /// With so many bytes of shared memory beside what the text itself declares. On a GPU only.
    pub fn shared(self, bytes: i64) -> Self {
        Self { shared: bytes as u32, ..self }
    }

    /// A tensor's numbers. The launch runs where the last tensor lies.
    ///
    /// # Panics
    /// Where the tensor does not lie in one piece.
    pub fn tensor(mut self, x: &'a Tensor) -> Self {
        assert!(x.is_contiguous(), "{} was given a tensor with gaps", self.kernel);
        self.device = x.device();
        self.word(x.data_ptr() as u64)
    }

    /// The numbers of a tensor whose strides the kernel is told.
    pub fn tensor_with_gaps(mut self, x: &'a Tensor) -> Self {
        self.device = x.device();
        self.word(x.data_ptr() as u64)
    }

    /// A tensor's numbers, or null.
    pub fn optional(self, x: Option<&'a Tensor>) -> Self {
        match x {
            Some(x) => self.tensor(x),
            None => self.word(0),
        }
    }

    /// An `int`.
    pub fn int(self, x: i64) -> Self {
        self.word(u64::from(x as i32 as u32))
    }

    /// An `i64`.
    pub fn long(self, x: i64) -> Self {
        self.word(x as u64)
    }

    /// A `float`.
    pub fn float(self, x: f64) -> Self {
        self.word(u64::from((x as f32).to_bits()))
    }

    /// A struct, as words of its bytes.
    pub fn words(mut self, words: Vec<u64>) -> Self {
        self.arguments.push(Argument(words));
        self
    }

    fn word(self, word: u64) -> Self {
        self.words(vec![word])
    }

    /// Runs it, on a GPU behind the work that this thread gave it before.
    ///
    /// # Panics
    /// With what the compiler or the driver reports: the same is a bug here or a broken card.
    pub fn run(self) {
        if self.blocks.contains(&0) {
            return;
        }
        let arguments: Vec<*mut c_void> = self.arguments.iter().map(|a| a.0.as_ptr() as *mut c_void).collect();
        let done: Result<(), String> = match self.device {
            #[cfg(test)]
            Device::Cpu => super::host::launch(self.text, self.kernel, self.blocks, self.threads, arguments),
            Device::Cuda(index) => {
                let sizes = super::device::Sizes { blocks: self.blocks, threads: self.threads, shared: self.shared };
                super::device::launch(index, self.text, self.kernel, sizes, arguments)
            }
            _ => Err(format!("no kernels run on {:?} ({} arguments, {:?})", self.device, arguments.len(), self.text)),
        };
        done.unwrap_or_else(|error| panic!("{}, {:?} blocks of {:?}: {error}", self.kernel, self.blocks, self.threads));
    }
}
