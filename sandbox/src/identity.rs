//! Whose rights a thread has when it uses files.

use nix::errno::Errno;
use nix::libc;

/// A user, a group and the further groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// The group's.
    pub gid: u32,
    /// The further groups'.
    pub groups: Vec<u32>,
}

impl Identity {
    /// This process's.
    ///
    /// # Errors
    /// The kernel does not tell the groups.
    pub fn own() -> Result<Self, Errno> {
        Ok(Self {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: nix::unistd::getgroups()?
                .into_iter()
                .map(nix::unistd::Gid::as_raw)
                .collect(),
        })
    }

    /// Lets this thread, and no other, use files with these rights; it can go back to others if the
    /// process is root's. What belongs to a process besides files stays as it is.
    ///
    /// # Errors
    /// The kernel refuses, or did not do it.
    pub(crate) fn adopt(&self) -> Result<(), Errno> {
        // The C library's functions would change all threads.
        // SAFETY: the list outlives the call.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr())
        })?;
        for (call, id) in [
            (libc::SYS_setfsgid, self.gid),
            (libc::SYS_setfsuid, self.uid),
        ] {
            // It gives what was before, so the second call tells whether the first did anything.
            // SAFETY: both take a number.
            let is = unsafe {
                libc::syscall(call, id);
                libc::syscall(call, id)
            };
            if is != libc::c_long::from(id) {
                return Err(Errno::EPERM);
            }
        }
        Ok(())
    }

    /// Lets this thread, and no other, be this user in all that it does, with the way back to root
    /// open.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn adopt_whole(&self) -> Result<(), Errno> {
        let (uid, gid) = (self.uid, self.gid);
        // The C library's functions would change all threads.
        // SAFETY: the list outlives the calls, and the others take numbers.
        unsafe {
            Errno::result(libc::syscall(
                libc::SYS_setgroups,
                self.groups.len(),
                self.groups.as_ptr(),
            ))?;
            Errno::result(libc::syscall(libc::SYS_setresgid, gid, gid, 0))?;
            Errno::result(libc::syscall(libc::SYS_setresuid, uid, uid, 0))?;
        }
        Ok(())
    }

    /// Becomes this user, for good and as a whole.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn become_it(&self) -> Result<(), Errno> {
        use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        setgroups(&groups)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)
    }
}
