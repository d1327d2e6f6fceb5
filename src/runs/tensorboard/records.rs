//! TFRecord: a length and bytes, each with a checksum.

use prost::Message;
use std::io::{Result, Write};

/// Writes one record.
pub fn write(file: &mut impl Write, message: &impl Message) -> Result<()> {
    let data = message.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    for part in [&length[..], &masked(&length), &data, &masked(&data)] {
        file.write_all(part)?;
    }
    Ok(())
}

/// CRC-32C, masked as the format wants it.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}
