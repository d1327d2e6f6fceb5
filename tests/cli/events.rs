//! Reads TensorBoard's event files, by their definition and nothing of synth's: TFRecords with masked CRC-32C, in them
//! protocol buffers.

use crate::place::Place;

/// One record.
#[derive(Debug, Default)]
pub struct Event {
    pub wall_time: f64,
    pub step: u64,
    pub file_version: Option<String>,
    /// `SessionLog.status`.
    pub session: Option<u64>,
    pub scalars: Vec<(String, f32)>,
    /// Texts of the text plugin.
    pub texts: Vec<(String, String)>,
}

/// The events of each file of a run, in the order in which TensorBoard reads them.
pub fn files(place: &Place, run: &str) -> Vec<Vec<Event>> {
    let folder = format!("{run}/tensorboard");
    let mut names = place.names(&folder);
    names.sort();
    assert!(names.iter().all(|name| name.starts_with("events.out.tfevents.")), "{names:?}");
    names.iter().map(|name| read(&std::fs::read(place.path(&folder).join(name)).unwrap())).collect()
}

fn read(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(u32_of(&bytes[8..]), masked_crc(&bytes[..8]), "the length's checksum");
        let data = &bytes[12..12 + length];
        assert_eq!(u32_of(&bytes[12 + length..]), masked_crc(data), "the record's checksum");
        events.push(event(data));
        bytes = &bytes[16 + length..];
    }
    events
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

/// Castagnoli's polynomial, bit by bit.
fn masked_crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A field's number of a message, and what it holds.
enum Field<'a> {
    Number(u64),
    Bits64(u64),
    Bits32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Field::Bytes(bytes) => bytes,
            _ => panic!("a message or a text was expected"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    unreachable!("the bytes end first")
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, Field::Number(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (taken, rest) = bytes.split_at(length);
        bytes = rest;
        let field = match key & 7 {
            1 => Field::Bits64(u64::from_le_bytes(taken.try_into().unwrap())),
            5 => Field::Bits32(u32_of(taken)),
            _ => Field::Bytes(taken),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn event(bytes: &[u8]) -> Event {
    let mut event = Event::default();
    for (number, field) in fields(bytes) {
        match (number, &field) {
            (1, Field::Bits64(bits)) => event.wall_time = f64::from_bits(*bits),
            (2, Field::Number(step)) => event.step = *step,
            (3, text) => event.file_version = Some(text.text()),
            (5, summary) => fields(summary.bytes()).iter().for_each(|(_, value)| add_value(value.bytes(), &mut event)),
            (7, session) => {
                let status = fields(session.bytes()).into_iter().find_map(|(number, field)| match (number, field) {
                    (1, Field::Number(status)) => Some(status),
                    _ => None,
                });
                event.session = status;
            }
            (other, _) => panic!("field {other} of an event"),
        }
    }
    event
}

/// A value of a summary: a number, or a tensor of strings for the text plugin.
fn add_value(bytes: &[u8], event: &mut Event) {
    let all = fields(bytes);
    let one = |wanted: u64| all.iter().find(|(number, _)| *number == wanted).map(|(_, field)| field);
    let tag = one(1).unwrap().text();
    if let Some(Field::Bits32(bits)) = one(2) {
        event.scalars.push((tag, f32::from_bits(*bits)));
        return;
    }
    // SummaryMetadata.plugin_data.plugin_name
    let metadata = fields(one(9).unwrap().bytes());
    assert_eq!(fields(metadata[0].1.bytes())[0].1.text(), "text");
    // TensorProto: dtype 7 is DT_STRING, field 8 string_val.
    let tensor = fields(one(8).unwrap().bytes());
    assert!(matches!(tensor[0], (1, Field::Number(7))));
    let texts = tensor.iter().filter(|(number, _)| *number == 8).map(|(_, field)| (tag.clone(), field.text()));
    event.texts.extend(texts);
}
