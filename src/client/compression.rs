//! Bodies made smaller on the way, in the three ways that RocketMQ knows (fact sheet: client 3.2).

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::{Compression as Level, write::ZlibEncoder};
use lz4_flex::frame::{FrameDecoder, FrameEncoder};
use ruzstd::{
    decoding::StreamingDecoder,
    encoding::{CompressionLevel, compress_to_vec},
};
use tracing::warn;

use crate::protocol::sys_flag::{Compression as Kind, SysFlag};

/// What a compressed body may grow to: a broker takes 4 MiB, and text shrinks to a tenth.
const MAX_BODY: u64 = 64 << 20;

/// How a producer compresses bodies. Consumers read all of them by themselves.
///
/// ```no_run
/// # async fn f(client: castmq::client::Client) -> Result<(), castmq::client::Error> {
/// use castmq::client::Compression;
/// let producer = client.producer("logs").compression(Compression::Lz4).compress_over(1024).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Zlib at a level, 1 to 9: what every client reads.
    Zlib(u32),
    /// LZ4 frames: quick, less small.
    Lz4,
    /// Zstandard frames, quick and small.
    Zstd,
}

impl Default for Compression {
    /// Java's: zlib at level 5.
    fn default() -> Self {
        Self::Zlib(5)
    }
}

/// The body compressed, and what its flag says of it then; as it is when that makes it no smaller.
pub(super) fn compressed(body: &Bytes, how: Compression) -> (Bytes, SysFlag) {
    let (kind, outcome) = match how {
        Compression::Zlib(level) => (Kind::Zlib, zlib(body, level)),
        Compression::Lz4 => (Kind::Lz4, lz4(body)),
        Compression::Zstd => (Kind::Zstd, Ok(compress_to_vec(&body[..], CompressionLevel::Fastest))),
    };
    match outcome {
        Ok(small) if small.len() < body.len() => (small.into(), SysFlag::default().with_compression(kind)),
        _ => (body.clone(), SysFlag::default()),
    }
}

fn zlib(body: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(body.len() / 2), Level::new(level.clamp(1, 9)));
    encoder.write_all(body)?;
    encoder.finish()
}

fn lz4(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = FrameEncoder::new(Vec::with_capacity(body.len() / 2));
    encoder.write_all(body)?;
    encoder.finish().map_err(io::Error::other)
}

/// The body as its producer knew it, and its flag without the compression; both as they are when it cannot be read.
pub(super) fn decompressed(body: Bytes, flag: SysFlag) -> (Bytes, SysFlag) {
    let Some(kind) = flag.compression() else { return (body, flag) };
    let outcome = match kind {
        Kind::Zlib => all_of(flate2::read::ZlibDecoder::new(&body[..])),
        Kind::Lz4 => all_of(FrameDecoder::new(&body[..])),
        Kind::Zstd => StreamingDecoder::new(&body[..]).map_err(io::Error::other).and_then(all_of),
        Kind::Unknown => Err(io::Error::other("a compression that is not known")),
    };
    match outcome {
        Ok(whole) => (whole.into(), flag.without(SysFlag::COMPRESSED)),
        Err(error) => {
            warn!(%error, ?kind, "a body cannot be decompressed and stays as it is");
            (body, flag)
        }
    }
}

fn all_of(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    match reader.take(MAX_BODY + 1).read_to_end(&mut whole)? as u64 {
        0..=MAX_BODY => Ok(whole),
        _ => Err(io::Error::other(format!("it grows beyond {MAX_BODY} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 3] = [Compression::Zlib(5), Compression::Lz4, Compression::Zstd];

    #[test]
    fn bodies_come_back_whole() {
        let body = Bytes::from("castmq ".repeat(100_000));
        for how in ALL {
            let (small, flag) = compressed(&body, how);
            assert!(small.len() < body.len() / 10, "{how:?}: {}", small.len());
            assert_eq!(
                decompressed(small, flag),
                (body.clone(), flag.without(SysFlag::COMPRESSED)),
                "{how:?}"
            );
        }
    }

    #[test]
    fn what_does_not_shrink_and_what_is_broken_stays_as_it_is() {
        let body = Bytes::from_static(b"short");
        for how in ALL {
            assert_eq!(compressed(&body, how), (body.clone(), SysFlag::default()), "{how:?}");
        }
        for kind in [Kind::Zlib, Kind::Lz4, Kind::Zstd, Kind::Unknown] {
            let flag = SysFlag::default().with_compression(kind);
            assert_eq!(decompressed(body.clone(), flag), (body.clone(), flag), "{kind:?}");
        }
    }

    #[test]
    fn a_small_body_cannot_fill_the_memory() {
        let bomb = Bytes::from(vec![0; (MAX_BODY + 1) as usize]);
        let (small, flag) = compressed(&bomb, Compression::Zlib(9));
        assert_eq!(decompressed(small.clone(), flag), (small, flag));
    }
}
