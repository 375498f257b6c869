//! Exactly one gzip member (RFC 1952), inflated whole under a limit.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Limits, Refusal};

const HEADER: usize = 10;
const TRAILER: usize = 8;
const HEADER_CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// The content of the one member that `bytes` must be.
pub(super) fn inflate(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let deflated = bytes.get(header_length(bytes, limits)?..).unwrap_or_default();
    let limit = limits.unpacked.min(limits.free.max(limits.ratio.saturating_mul(bytes.len() as u64)));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len().saturating_mul(5).min(limit).min(32 << 20) + 1024);
    let mut stream = Decompress::new(false);
    let used = loop {
        let used = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        let before = (used, out.len());
        let status = stream
            .decompress_vec(deflated.get(used..).unwrap_or_default(), &mut out, FlushDecompress::None)
            .map_err(|error| Refusal::new(format!("its compressed data is damaged: {error}")))?;
        let used = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        if out.len() > limit {
            return Err(Refusal::new(format!("it unpacks to more than {limit} bytes")));
        }
        if status == Status::StreamEnd {
            break used;
        }
        if out.len() == out.capacity() {
            out.reserve(out.capacity().min(64 << 20).min(limit + 1 - out.len().min(limit)));
        } else if before == (used, out.len()) {
            return Err(Refusal::new("its compressed data ends early"));
        }
    };
    let Some((trailer, rest)) = deflated.get(used..).and_then(|rest| rest.split_first_chunk::<TRAILER>()) else {
        return Err(Refusal::new("its compressed data ends early"));
    };
    check_trailer(*trailer, &out)?;
    if !rest.is_empty() {
        return Err(Refusal::new("there is data after its compressed content"));
    }
    Ok(out)
}

fn check_trailer(trailer: [u8; TRAILER], out: &[u8]) -> Result<(), Refusal> {
    let [a, b, c, d, e, f, g, h] = trailer;
    let mut checksum = Crc::new();
    checksum.update(out);
    if checksum.sum() != u32::from_le_bytes([a, b, c, d]) {
        return Err(Refusal::new("the checksum of its compressed data is wrong"));
    }
    // The format keeps the length modulo 2³².
    if out.len() as u32 != u32::from_le_bytes([e, f, g, h]) {
        return Err(Refusal::new("the length of its compressed data is wrong"));
    }
    Ok(())
}

fn header_length(bytes: &[u8], limits: &Limits) -> Result<usize, Refusal> {
    let &[0x1f, 0x8b, 8, flags, _, _, _, _, _, _, ..] = bytes else {
        return Err(Refusal::new("it is not a gzip file"));
    };
    if flags & RESERVED != 0 {
        return Err(Refusal::new("its gzip header has reserved flags"));
    }
    let mut at = HEADER;
    if flags & EXTRA != 0 {
        let Some(&[low, high]) = bytes.get(at..at + 2) else { return Err(Refusal::new("its gzip header ends early")) };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let rest = bytes.get(at..).unwrap_or_default();
            let most = usize::try_from(limits.helper).unwrap_or(usize::MAX).min(rest.len());
            let length = rest.iter().take(most).position(|&byte| byte == 0);
            at += length.ok_or_else(|| Refusal::new("its gzip header ends early or is too long"))? + 1;
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        let mut checksum = Crc::new();
        checksum.update(bytes.get(..at).unwrap_or_default());
        let [low, high, ..] = checksum.sum().to_le_bytes();
        if bytes.get(at..at + 2) != Some(&[low, high]) {
            return Err(Refusal::new("the checksum of its gzip header is wrong"));
        }
        at += 2;
    }
    Ok(at)
}
