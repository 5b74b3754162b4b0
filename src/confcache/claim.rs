//! That nobody else configures the same folder.
//!
//! Two runs in one folder take each other's files away, and neither trace shows it. So a run names itself, by an
//! address in the kernel that goes with its process; who finds that taken knocks there, and learns nothing either.

use std::fs::Metadata;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

/// A folder that is configured by nobody else, so far.
#[derive(Debug)]
pub(super) struct Claim(UnixDatagram);

impl Claim {
    /// Claims a folder for as long as the value lives. If somebody else has it there is none, and they are told.
    ///
    /// # Errors
    /// The folder cannot be looked at, or nothing can be claimed here.
    pub(super) fn on(folder: &Path) -> io::Result<Option<Self>> {
        let address = address(&folder.metadata()?)?;
        match UnixDatagram::bind_addr(&address) {
            Ok(socket) => {
                socket.set_nonblocking(true)?;
                Ok(Some(Self(socket)))
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let knocks = UnixDatagram::unbound()?;
                knocks.set_nonblocking(true)?;
                // If it has ended by now nothing is spoilt, and if it does not listen others have knocked.
                let _ = knocks.send_to_addr(&[], &address);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether somebody else wanted the folder meanwhile.
    pub(super) fn is_disputed(&self) -> bool {
        !matches!(self.0.recv(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn address(folder: &Metadata) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!(
        "ebd-configure-{:x}-{:x}",
        folder.dev(),
        folder.ino()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_claimed_once_and_disputes_are_heard() {
        let tmp = tempfile::tempdir().unwrap();
        let first = Claim::on(tmp.path()).unwrap().unwrap();
        assert!(!first.is_disputed());
        let other = tempfile::tempdir().unwrap();
        assert!(Claim::on(other.path()).unwrap().is_some());
        assert!(!first.is_disputed());
        assert!(Claim::on(&tmp.path().join(".")).unwrap().is_none());
        assert!(first.is_disputed());
        drop(first);
        assert!(Claim::on(tmp.path()).unwrap().is_some());
        assert!(Claim::on(&tmp.path().join("none")).is_err());
    }
}
