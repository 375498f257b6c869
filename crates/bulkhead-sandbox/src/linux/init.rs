//! Process 1 of a confined process's pid namespace.
//!
//! A program that runs as process 1 itself is not quite the same program: signals without a handler do not end it (so
//! `abort` ends otherwise than outside), and it inherits every orphan. So process 1 is this: a complete ELF executable of a
//! few hundred bytes, which waits for all children, writes how process 2 (the program) ended to descriptor 3, and exits, at
//! which the kernel kills whatever is left. It also says whether anything *was* left: if not, the parent need not wait until
//! the kernel has taken the namespaces apart. It is executed from a sealed memory file while the program already
//! runs, so it costs little and exists in no file system.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;

use super::syscall::{check, owned};

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".section .rodata.bulkhead_init,\"a\",@progbits",
    ".balign 16",
    "bulkhead_init_start:",
    ".byte 0x7f,0x45,0x4c,0x46,2,1,1,0,0,0,0,0,0,0,0,0",
    ".2byte 2, 62", // ET_EXEC, EM_X86_64
    ".4byte 1",
    ".8byte 0x400000 + (bulkhead_init_entry - bulkhead_init_start)",
    ".8byte 64, 0", // program headers follow the header; no sections
    ".4byte 0",
    ".2byte 64, 56, 2, 0, 0, 0",
    ".4byte 1, 5", // PT_LOAD, readable and executable
    ".8byte 0, 0x400000, 0x400000",
    ".8byte bulkhead_init_end - bulkhead_init_start, bulkhead_init_end - bulkhead_init_start, 0x1000",
    ".4byte 0x6474e551, 6", // PT_GNU_STACK, not executable
    ".8byte 0, 0, 0, 0, 0, 16",
    "bulkhead_init_entry:",
    "sub rsp, 160",
    "20:",
    "mov eax, 61", // wait4(-1, &status, __WALL, &usage)
    "mov rdi, -1",
    "mov rsi, rsp",
    "mov edx, 0x40000000",
    "lea r10, [rsp + 8]",
    "syscall",
    "cmp rax, 2",
    "je 21f",
    "cmp rax, -10", // ECHILD: nothing to wait for any more
    "jne 20b",
    "mov edi, 1",
    "jmp 22f",
    "21:",
    "mov eax, 61", // wait4(-1, NULL, WNOHANG | __WALL, NULL)
    "mov rdi, -1",
    "xor esi, esi",
    "mov edx, 0x40000001",
    "xor r10d, r10d",
    "syscall",
    "xor ecx, ecx",
    "cmp rax, -10",
    "sete cl", // alone
    "mov [rsp + 4], ecx",
    "mov eax, 1", // write(3, message, 152)
    "mov edi, 3",
    "mov rsi, rsp",
    "mov edx, 152",
    "syscall",
    "xor edi, edi",
    "22:",
    "mov eax, 231", // exit_group
    "syscall",
    "bulkhead_init_end:",
    ".globl bulkhead_init_start, bulkhead_init_end",
    ".text",
);

#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".section .rodata.bulkhead_init,\"a\",@progbits",
    ".balign 16",
    "bulkhead_init_start:",
    ".byte 0x7f,0x45,0x4c,0x46,2,1,1,0,0,0,0,0,0,0,0,0",
    ".2byte 2, 183", // ET_EXEC, EM_AARCH64
    ".4byte 1",
    ".8byte 0x400000 + (bulkhead_init_entry - bulkhead_init_start)",
    ".8byte 64, 0", // program headers follow the header; no sections
    ".4byte 0",
    ".2byte 64, 56, 2, 0, 0, 0",
    ".4byte 1, 5", // PT_LOAD, readable and executable
    ".8byte 0, 0x400000, 0x400000",
    ".8byte bulkhead_init_end - bulkhead_init_start, bulkhead_init_end - bulkhead_init_start, 0x10000",
    ".4byte 0x6474e551, 6", // PT_GNU_STACK, not executable
    ".8byte 0, 0, 0, 0, 0, 16",
    "bulkhead_init_entry:",
    "sub sp, sp, #160",
    "20:",
    "mov x0, #-1", // wait4(-1, &status, __WALL, &usage)
    "mov x1, sp",
    "mov x2, #0x40000000",
    "add x3, sp, #8",
    "mov x8, #260",
    "svc #0",
    "cmp x0, #2",
    "b.eq 21f",
    "cmn x0, #10", // ECHILD: nothing to wait for any more
    "b.ne 20b",
    "mov x0, #1",
    "b 22f",
    "21:",
    "mov x0, #-1", // wait4(-1, NULL, WNOHANG | __WALL, NULL)
    "mov x1, #0",
    "mov x2, #1",
    "movk x2, #0x4000, lsl #16",
    "mov x3, #0",
    "mov x8, #260",
    "svc #0",
    "cmn x0, #10",
    "cset w1, eq", // alone
    "str w1, [sp, #4]",
    "mov x0, #3", // write(3, message, 152)
    "mov x1, sp",
    "mov x2, #152",
    "mov x8, #64",
    "svc #0",
    "mov x0, #0",
    "22:",
    "mov x8, #94", // exit_group
    "svc #0",
    "bulkhead_init_end:",
    ".globl bulkhead_init_start, bulkhead_init_end",
    ".text",
);

// SAFETY: the symbols are defined by the assembly above, and only their addresses are taken.
unsafe extern "C" {
    static bulkhead_init_start: u8;
    static bulkhead_init_end: u8;
}

/// The descriptor to which process 1 writes its [`Message`].
pub(super) const STATUS_FD: i32 = 3;

/// How the program ended, as process 1 reports it.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Message {
    /// The wait status.
    pub(super) status: i32,
    /// 1 when no other process was left.
    pub(super) alone: i32,
    /// What the program used, with all that it waited for.
    pub(super) usage: libc::rusage,
}

/// What is read from the pipe. (The C library's `rusage` has the kernel's size on 64-bit systems.)
pub(super) type MessageBytes = [u8; size_of::<Message>()];
const _: () = assert!(size_of::<Message>() == 152);

impl Message {
    pub(super) fn from_bytes(bytes: MessageBytes) -> Message {
        // SAFETY: the struct is plain numbers, for which every pattern of bits is valid, and has this size.
        unsafe { std::mem::transmute(bytes) }
    }
}

/// A sealed memory file with the executable, made at the first call.
///
/// # Errors
/// When the host refuses executable memory files (`vm.memfd_noexec=2`).
pub(super) fn executable() -> io::Result<&'static OwnedFd> {
    static FILE: OnceLock<Result<OwnedFd, i32>> = OnceLock::new();
    FILE.get_or_init(|| create().map_err(|error| error.raw_os_error().unwrap_or(libc::EIO)))
        .as_ref()
        .map_err(|errno| io::Error::from_raw_os_error(*errno))
}

fn create() -> io::Result<OwnedFd> {
    // SAFETY: the two symbols enclose the bytes assembled above, which are never written.
    let bytes = unsafe {
        let start = &raw const bulkhead_init_start;
        std::slice::from_raw_parts(start, (&raw const bulkhead_init_end).offset_from_unsigned(start))
    };
    const MFD_EXEC: u32 = 0x10;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let name = c"bulkhead-init";
    // SAFETY: the name is NUL-terminated. Kernels before 6.3 do not know the flag and give executable files without it.
    let fd = check(unsafe { libc::memfd_create(name.as_ptr(), flags | MFD_EXEC) }.into())
        // SAFETY: as above.
        .or_else(|_| check(unsafe { libc::memfd_create(name.as_ptr(), flags) }.into()))?;
    let file = std::fs::File::from(owned(fd));
    io::Write::write_all(&mut &file, bytes)?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: sealing touches no memory of this process.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }.into())?;
    Ok(file.into())
}
