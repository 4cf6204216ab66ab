//! The messages of TensorBoard's event files and the records that frame them
//! (`tensorflow/core/util/event.proto`, `summary.proto`, `lib/io/record_writer.h`).

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// Only in the first event of a file.
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
    pub status: i32,
}

impl SessionLog {
    pub const START: i32 = 1;
}

#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(oneof = "Content", tags = "2, 4, 5")]
    pub content: Option<Content>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "5")]
    Histogram(Histogram),
}

#[derive(Clone, PartialEq, Message)]
pub struct Image {
    #[prost(int32, tag = "1")]
    pub height: i32,
    #[prost(int32, tag = "2")]
    pub width: i32,
    #[prost(int32, tag = "3")]
    pub colorspace: i32,
    /// A PNG file.
    #[prost(bytes = "vec", tag = "4")]
    pub encoded_image_string: Vec<u8>,
}

impl Image {
    pub const RGB: i32 = 3;
}

#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    #[prost(double, tag = "1")]
    pub min: f64,
    #[prost(double, tag = "2")]
    pub max: f64,
    #[prost(double, tag = "3")]
    pub num: f64,
    #[prost(double, tag = "4")]
    pub sum: f64,
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    /// The upper limit of each bucket.
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

impl Event {
    /// Creates an event with the current time.
    pub fn now() -> Self {
        let wall_time = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
        Self { wall_time, ..Self::default() }
    }
}

impl Value {
    pub fn scalar(tag: &str, value: f32) -> Self {
        Self { tag: tag.to_owned(), content: Some(Content::Scalar(value)) }
    }

    pub fn image(tag: &str, image: Image) -> Self {
        Self { tag: tag.to_owned(), content: Some(Content::Image(image)) }
    }

    pub fn histogram(tag: &str, histogram: Histogram) -> Self {
        Self { tag: tag.to_owned(), content: Some(Content::Histogram(histogram)) }
    }
}

impl Histogram {
    /// Counts the finite ones of `values` in `buckets` buckets of equal width.
    pub fn of(values: &[f32], buckets: usize) -> Self {
        let finite = || values.iter().map(|&value| f64::from(value)).filter(|v| v.is_finite());
        let (min, max) = finite()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if min > max {
            return Self::default();
        }
        let width = (max - min) / buckets as f64;
        let limit = |i: usize| if i + 1 == buckets { max } else { min + width * (i + 1) as f64 };
        let mut own = Self {
            min,
            max,
            bucket_limit: (0..buckets).map(limit).collect(),
            bucket: vec![0.0; buckets],
            ..Self::default()
        };
        for value in finite() {
            // All are in the first bucket if they are equal.
            let place = if width > 0.0 { ((value - min) / width) as usize } else { 0 };
            own.bucket[place.min(buckets - 1)] += 1.0;
            own.num += 1.0;
            own.sum += value;
            own.sum_squares += value * value;
        }
        own
    }
}

/// Returns the record of an event: length, its checksum, the message, its checksum.
pub fn record(event: &Event) -> Vec<u8> {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    let mut bytes = Vec::with_capacity(message.len() + 16);
    bytes.extend(length);
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(&message);
    bytes.extend(masked(&message).to_le_bytes());
    bytes
}

/// Returns the masked CRC-32C: rotated and offset, so that it can be part of data with its own checksum.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_every_finite_value() {
        let histogram = Histogram::of(&[0.0, 1.0, 1.0, 4.0, f32::NAN, f32::INFINITY], 4);
        assert_eq!(histogram.bucket_limit, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(histogram.bucket, [1.0, 2.0, 0.0, 1.0]);
        assert_eq!((histogram.num, histogram.sum, histogram.sum_squares), (4.0, 6.0, 18.0));
        let level = Histogram::of(&[2.0; 3], 4);
        assert_eq!((level.min, level.max, level.bucket[0]), (2.0, 2.0, 3.0));
        assert_eq!(Histogram::of(&[f32::NAN], 4), Histogram::default());
    }

    /// Checksums from `RecordWriter` in tensorboard 2.21 (`tensorboard.summary.writer.record_writer`).
    #[test]
    fn records_match_tensorboard() {
        let event = Event {
            wall_time: 1.5,
            file_version: Some("brain.Event:2".into()),
            ..Event::default()
        };
        let bytes = record(&event);
        assert_eq!(bytes[..8], 24u64.to_le_bytes());
        assert_eq!(bytes[8..12], [163, 127, 75, 34]);
        assert_eq!(bytes[bytes.len() - 4..], [42, 40, 100, 108]);
    }
}
