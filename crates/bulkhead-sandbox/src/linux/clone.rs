//! Starting a process in a control group, which the C library's `clone` cannot do.

use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;

use super::syscall::Errno;

/// `struct clone_args` of the kernel.
#[repr(C)]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What the child runs.
type Function = extern "C" fn(*mut c_void) -> c_int;

/// `clone` into a control group (`clone3(2)`), which costs much less than moving a process there. The child runs `function`
/// on the stack that ends at `stack`, and ends with its result.
///
/// # Safety
/// As for `clone`: the stack is used by nothing else, and function and argument are good for a child with these flags.
pub(super) unsafe fn clone_into(
    group: RawFd,
    flags: c_int,
    stack: *mut c_void,
    function: Function,
    argument: *mut c_void,
) -> Result<libc::c_long, Errno> {
    const INTO_CGROUP: u64 = 1 << 33;
    /// The kernel adds the size to where the stack begins, to get at its end.
    const SIZE: u64 = 4096;
    // `clone` takes the signal at the end in the lowest byte of its flags.
    let signal = flags.cast_unsigned() & 0xff;
    let arguments = Arguments {
        flags: u64::from(flags.cast_unsigned() ^ signal) | INTO_CGROUP,
        exit_signal: signal.into(),
        stack: stack.addr() as u64 - SIZE,
        stack_size: SIZE,
        cgroup: group.cast_unsigned().into(),
        ..Arguments::default()
    };
    // SAFETY: the caller's promises.
    let result = unsafe { clone3(&arguments, function, argument) };
    if result < 0 { Err(Errno(-result as i32)) } else { Ok(result) }
}

/// The call itself: in the child, which begins on the new stack, nothing but `function` may run.
///
/// # Safety
/// As for [`clone_into`].
unsafe fn clone3(arguments: &Arguments, function: Function, argument: *mut c_void) -> libc::c_long {
    let result: libc::c_long;
    // SAFETY: the struct has the kernel's layout, whose size is passed. In the parent nothing but the named registers has
    // changed afterwards; the child never leaves this block.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "mov edi, eax",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") arguments,
            in("rsi") size_of::<Arguments>(),
            in("r12") function,
            in("r13") argument,
            lateout("rcx") _,
            lateout("r11") _,
        );
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x10",
            "blr x9",
            "mov x8, {exit}",
            "svc #0",
            "brk #1",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("x0") arguments => result,
            in("x1") size_of::<Arguments>(),
            in("x8") libc::SYS_clone3,
            in("x9") function,
            in("x10") argument,
        );
    }
    result
}
