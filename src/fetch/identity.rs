//! The user that distfiles are fetched as.
//!
//! What arrives over the network is handled in this process, so there is nobody else whose rights could be given
//! up. What `FEATURES=userfetch` is for is done nevertheless: files and locks in DISTDIR are made with the rights of
//! that user, where root itself may have none (a DISTDIR on NFS where root is squashed), and programs that fetch run
//! as it. The identity for files belongs to a thread, not to the process (`setfsuid(2)`).

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// A user with its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchUser {
    /// The user's number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// While it lives, what the thread does with files it does as somebody else.
struct Guise {
    uid: Uid,
    gid: Gid,
}

impl Guise {
    fn of(user: FetchUser) -> Self {
        // The group first: who is not root any more cannot change it.
        let gid = setfsgid(Gid::from_raw(user.gid));
        let uid = setfsuid(Uid::from_raw(user.uid));
        Self { uid, gid }
    }
}

impl Drop for Guise {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
    }
}

/// Does `work`, which must not change threads, with the rights of `user` for files; as ever if that is `None`.
pub(super) fn acting<T>(user: Option<FetchUser>, work: impl FnOnce() -> T) -> T {
    let _guise = user.map(Guise::of);
    work()
}

/// Has the program run as `user`.
pub(super) fn run_as(command: &mut Command, user: Option<FetchUser>) {
    if let Some(user) = user {
        // Root's further groups are given up with it.
        command.gid(user.gid).uid(user.uid);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn files_are_made_as_the_user_and_no_longer_than_wished() {
        let directory = tempfile::tempdir().unwrap();
        let own = fs::metadata(directory.path()).unwrap();
        // Only root may be somebody else; everybody may be himself.
        let user = if nix::unistd::geteuid().is_root() {
            fs::set_permissions(
                directory.path(),
                std::os::unix::fs::PermissionsExt::from_mode(0o777),
            )
            .unwrap();
            FetchUser {
                uid: 65534,
                gid: 65534,
            }
        } else {
            FetchUser {
                uid: own.uid(),
                gid: own.gid(),
            }
        };
        let owner = |name: &str| {
            let path = directory.path().join(name);
            fs::write(&path, "").unwrap();
            let made = fs::metadata(path).unwrap();
            (made.uid(), made.gid())
        };
        assert_eq!(acting(Some(user), || owner("a")), (user.uid, user.gid));
        let panicked = std::panic::catch_unwind(|| acting(Some(user), || panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(owner("b"), (own.uid(), own.gid()));
        assert_eq!(acting(None, || owner("c")), (own.uid(), own.gid()));
    }
}
