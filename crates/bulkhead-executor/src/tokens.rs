//! The pipe with the jobserver's tokens. All processes of a build share it, and any of them can take tokens that it never
//! gives back, or pour in more than there ever were, until whoever gives one back waits for ever. So nothing of Bulkhead's
//! own waits for this pipe, and what is too much is taken out again.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use jobserver::Acquired;

/// Both ends of the pipe, opened anew: what children do to the flags of theirs does not reach these.
#[derive(Debug)]
pub(crate) struct Tokens {
    read: File,
    write: File,
    /// How many there are.
    all: usize,
}

impl Tokens {
    /// The pipe with these descriptors, which has `all` tokens now. `None` where there is no `/proc`.
    pub(crate) fn open(descriptors: &[i32], all: usize) -> Option<Self> {
        let &[read, write] = descriptors else { return None };
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let name = |descriptor: i32| format!("/proc/self/fd/{descriptor}");
        let read = File::options().read(true).custom_flags(flags).open(name(read)).ok()?;
        let write = File::options().write(true).custom_flags(flags).open(name(write)).ok()?;
        Some(Self { read, write, all })
    }

    /// Gives a token back. Where the pipe is full there is no need to.
    pub(crate) fn give_back(&self, token: Acquired) {
        token.drop_without_releasing();
        self.add(1);
    }

    /// Takes out what nobody can have taken before.
    pub(crate) fn take_out_surplus(&self) {
        let surplus = self.count().saturating_sub(self.all);
        if surplus > 0 {
            // Nobody waits for these, and what is left is taken out the next time.
            let _ = (&self.read).read(&mut vec![0; surplus]);
        }
    }

    /// Puts in again what was lost, at a time when nobody else has any but the `held` ones.
    pub(crate) fn replace_lost(&self, held: usize) {
        self.add(self.all.saturating_sub(self.count() + held));
    }

    fn count(&self) -> usize {
        rustix::io::ioctl_fionread(&self.read).map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn add(&self, count: usize) {
        let _ = (&self.write).write(&vec![b'+'; count]);
    }
}

#[cfg(test)]
mod tests {
    use super::Tokens;
    use std::os::fd::AsRawFd as _;

    /// Attack 112.
    #[test]
    fn what_was_lost_comes_back_and_what_is_too_much_goes() {
        let (read, write) = std::io::pipe().unwrap();
        let tokens = Tokens::open(&[read.as_raw_fd(), write.as_raw_fd()], 3).unwrap();
        tokens.replace_lost(1);
        assert_eq!(tokens.count(), 2);
        tokens.replace_lost(0);
        assert_eq!(tokens.count(), 3);
        for _ in 0..100 {
            tokens.add(1024);
        }
        assert!(tokens.count() > 60_000, "the pipe is full, and nobody has waited");
        tokens.take_out_surplus();
        assert_eq!(tokens.count(), 3);
        assert!(Tokens::open(&[], 3).is_none());
    }
}
