//! Exactly one gzip member (RFC 1952), inflated piece by piece under a limit.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Limits, Refusal};

const HEADER: usize = 10;
const TRAILER: usize = 8;
const HEADER_CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// How much inflated data is held at once, in bytes. Most files of most packages fit in several times.
const BUFFER: usize = 128 << 10;

/// The content of the one member that an archive must be, as far as it has been asked for.
pub(super) struct Stream<'a> {
    /// The compressed data that has not been used, and what follows it.
    rest: &'a [u8],
    inflater: Decompress,
    checksum: Crc,
    /// Most bytes that may come out.
    limit: u64,
    /// `start..end` of it has been inflated and not been taken.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The compressed data has ended, and its checksum and length are right.
    ended: bool,
}

impl<'a> Stream<'a> {
    /// Reads the header of `bytes`.
    pub(super) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, Refusal> {
        let rest = bytes.get(header_length(bytes, limits)?..).unwrap_or_default();
        Ok(Self {
            rest,
            inflater: Decompress::new(false),
            checksum: Crc::new(),
            limit: limits.unpacked.min(limits.free.max(limits.ratio.saturating_mul(bytes.len() as u64))),
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            ended: false,
        })
    }

    /// What comes next: at least `wanted` bytes, unless the stream ends before or its buffer is smaller.
    pub(super) fn peek(&mut self, wanted: usize) -> Result<&[u8], Refusal> {
        if self.end - self.start < wanted.min(BUFFER) && !self.ended {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < BUFFER && !self.ended {
                self.inflate()?;
            }
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Goes past `length` bytes that [`Stream::peek`] has shown.
    pub(super) fn take(&mut self, length: usize) {
        self.start = self.end.min(self.start + length);
    }

    fn inflate(&mut self) -> Result<(), Refusal> {
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let before = (self.inflater.total_in(), self.inflater.total_out());
        let status = self
            .inflater
            .decompress(self.rest, room, FlushDecompress::None)
            .map_err(|error| Refusal::new(format!("its compressed data is damaged: {error}")))?;
        let (total_in, total_out) = (self.inflater.total_in(), self.inflater.total_out());
        // Neither can be more than the slice that it counts in.
        let (used, made) = ((total_in - before.0) as usize, (total_out - before.1) as usize);
        self.rest = self.rest.get(used..).unwrap_or_default();
        self.checksum.update(room.get(..made).unwrap_or_default());
        self.end += made;
        if total_out > self.limit {
            return Err(Refusal::new(format!("it unpacks to more than {} bytes", self.limit)));
        }
        match status {
            Status::StreamEnd => self.finish(),
            _ if (used, made) == (0, 0) => Err(Refusal::new("its compressed data ends early")),
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), Refusal> {
        let Some((trailer, rest)) = self.rest.split_first_chunk::<TRAILER>() else {
            return Err(Refusal::new("its compressed data ends early"));
        };
        let [a, b, c, d, e, f, g, h] = *trailer;
        if self.checksum.sum() != u32::from_le_bytes([a, b, c, d]) {
            return Err(Refusal::new("the checksum of its compressed data is wrong"));
        }
        // The format keeps the length modulo 2³².
        if self.inflater.total_out() as u32 != u32::from_le_bytes([e, f, g, h]) {
            return Err(Refusal::new("the length of its compressed data is wrong"));
        }
        if !rest.is_empty() {
            return Err(Refusal::new("there is data after its compressed content"));
        }
        self.ended = true;
        Ok(())
    }
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
