//! The protocol buffers of event files, as far as a run needs them: TensorFlow's `event.proto`, `summary.proto` and
//! `tensor.proto`.

use prost::Message;

/// A record of an event file; one of the optional fields is there.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// In the first record of a file.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    pub session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

/// A number or a text under a tag.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    tensor: Option<Strings>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
}

/// `TensorProto`, of strings.
#[derive(Clone, PartialEq, Message)]
struct Strings {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    values: Vec<Vec<u8>>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "2")]
    axes: Vec<Axis>,
}

#[derive(Clone, PartialEq, Message)]
struct Axis {
    #[prost(int64, tag = "1")]
    size: i64,
}

/// `SummaryMetadata`.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin: Option<Plugin>,
    #[prost(int32, tag = "4")]
    data_class: i32,
}

/// `SummaryMetadata.PluginData`.
#[derive(Clone, PartialEq, Message)]
struct Plugin {
    #[prost(string, tag = "1")]
    name: String,
}

/// `SessionLog.START`.
const START: i32 = 1;
/// `DT_STRING`.
const STRING: i32 = 7;
/// `DATA_CLASS_TENSOR`.
const TENSOR: i32 = 2;

impl SessionLog {
    /// Points of earlier files from this step on are void.
    pub fn start() -> Self {
        Self { status: START }
    }
}

impl Value {
    /// A number.
    pub fn scalar(tag: String, value: f32) -> Self {
        Self { tag, simple_value: Some(value), ..Default::default() }
    }

    /// A text in Markdown, for the text plugin.
    pub fn text(tag: String, text: String) -> Self {
        let shape = Some(Shape { axes: vec![Axis { size: 1 }] });
        let tensor = Some(Strings { dtype: STRING, shape, values: vec![text.into_bytes()] });
        let plugin = Some(Plugin { name: "text".into() });
        Self { tag, tensor, metadata: Some(Metadata { plugin, data_class: TENSOR }), ..Default::default() }
    }
}
