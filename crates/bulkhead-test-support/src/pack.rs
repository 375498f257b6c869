//! Packs of git objects (gitformat-pack), whole and hostile.

use std::io::Write;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::git::GitRepository;

/// A pack that can be changed before it is sent.
#[derive(Clone, Debug)]
pub struct Pack {
    /// How many objects it says that it has.
    pub announced: u32,
    /// Its objects, as they stand in it.
    pub objects: Vec<u8>,
}

/// An object for a pack.
#[derive(Clone, Debug)]
pub struct PackObject {
    /// 3 is a blob, 6 a delta on an object before it in the pack, 7 a delta on an object with an id.
    pub kind: u8,
    /// What a delta builds on: the distance or the id.
    pub base: Vec<u8>,
    /// At most 15 bytes.
    pub content: Vec<u8>,
}

impl Pack {
    /// Everything in a repository.
    pub fn of(repository: &GitRepository) -> Pack {
        let bytes = repository.pack();
        let announced = u32::from_be_bytes(bytes[8..12].try_into().expect("four bytes"));
        Pack { announced, objects: bytes[12..bytes.len() - 20].to_vec() }
    }

    /// The same, and these objects behind the others.
    pub fn with(&self, more: &[PackObject]) -> Pack {
        let mut pack = self.clone();
        for object in more {
            pack.announced += 1;
            pack.objects.extend(object.bytes());
        }
        pack
    }

    /// The whole file, with a checksum that is right.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"PACK\0\0\0\x02".to_vec();
        bytes.extend(self.announced.to_be_bytes());
        bytes.extend(&self.objects);
        let checksum = sha1(&bytes);
        bytes.extend(checksum);
        bytes
    }
}

impl PackObject {
    fn bytes(&self) -> Vec<u8> {
        let size = u8::try_from(self.content.len()).ok().filter(|size| *size < 16).expect("the size fits four bits");
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&self.content).expect("writing to memory");
        [&[(self.kind << 4) | size][..], &self.base, &encoder.finish().expect("writing to memory")].concat()
    }
}

/// By the system's own program: nothing else here needs SHA-1.
fn sha1(bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new("sha1sum");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha1sum runs");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("sha1sum reads");
    let output = child.wait_with_output().expect("sha1sum ends").stdout;
    let digits = std::str::from_utf8(&output[..40]).expect("hexadecimal digits");
    (0..40).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits")).collect()
}
