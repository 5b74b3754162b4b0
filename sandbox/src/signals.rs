//! What signals do to the programs that are started here.

use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};

/// Lets a pipe without readers end the program that this process becomes, as it ends all others: Rust's runtime has
/// this program ignore that, and a shell can never undo what was ignored when it began.
pub(crate) fn leave_pipes_to_program() {
    // SAFETY: the default runs nothing.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

/// Whether this process ignores a signal, as below `nohup`.
#[must_use]
pub fn is_ignored(number: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, and the action has the size that the kernel writes.
    let asked =
        unsafe { libc::sigaction(number as libc::c_int, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: it was written if the call succeeded.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_known() {
        // Rust's runtime has it so.
        assert!(is_ignored(Signal::SIGPIPE));
        assert!(!is_ignored(Signal::SIGSEGV));
    }
}
