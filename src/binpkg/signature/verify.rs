//! Checking signatures.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{Group, User, geteuid};

use super::CommandError;
use super::run::{run, words};
use crate::binpkg::gpkg::{GpkgError, GpkgFile, Manifest, Part};

const SETTING: &str = "BINPKG_GPG_VERIFY_BASE_COMMAND";

/// What is asked of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// They must be signed (`FEATURES=binpkg-request-signature`).
    Require,
    /// Those that are signed must be signed well.
    IfSigned,
    /// It is told if they are not signed well.
    Warn,
    /// Signatures are not looked at (`FEATURES=binpkg-ignore-signature`).
    Ignore,
}

impl Policy {
    /// What FEATURES say.
    pub fn from_features(feature: impl Fn(&str) -> bool) -> Self {
        if feature("binpkg-request-signature") {
            Self::Require
        } else if feature("binpkg-ignore-signature") {
            Self::Ignore
        } else {
            Self::IfSigned
        }
    }

    /// The policy for what comes from elsewhere: where FEATURES say nothing, signatures are asked for as soon as
    /// `keyring`, the folder that `BINPKG_GPG_VERIFY_GPG_HOME` names, has a key to verify them with.
    #[must_use]
    pub fn for_hosts(self, keyring: Option<&Path>) -> Self {
        match keyring {
            Some(keyring) if self == Self::IfSigned && has_keys(keyring) => Self::Require,
            _ => self,
        }
    }
}

/// Whether a keyring of gpg has any keys. One that cannot be looked into counts as having some.
fn has_keys(folder: &Path) -> bool {
    // What gpg makes without being given a key.
    const EMPTY_KEYBOX: u64 = 32;
    let larger = |name: &str, size: u64| match std::fs::metadata(folder.join(name)) {
        Ok(metadata) => metadata.len() > size,
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    };
    larger("pubring.kbx", EMPTY_KEYBOX)
        || larger("pubring.gpg", 0)
        || larger("public-keys.d/pubring.db", 0)
}

/// Why a signature is not good enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is none, or something that is none.
    #[error("there is no signature")]
    Missing,
    /// The content is not what was signed.
    #[error("what was signed by {0} was changed afterwards")]
    Bad(String),
    /// The key is not in the keyring.
    #[error(
        "the key {0} is not known; import it into the keyring of BINPKG_GPG_VERIFY_GPG_HOME if you trust it"
    )]
    UnknownKey(String),
    /// The key is in the keyring, but nothing says that it is its owner's.
    #[error(
        "the key of {0} is known, but not trusted; certify it in the keyring of BINPKG_GPG_VERIFY_GPG_HOME"
    )]
    Untrusted(String),
    /// The key has expired.
    #[error("the key of {0} has expired; import its renewed form")]
    ExpiredKey(String),
    /// The signature has expired.
    #[error("the signature of {0} has expired")]
    ExpiredSignature(String),
    /// The key was revoked.
    #[error("the key of {0} was revoked")]
    RevokedKey(String),
    /// gpg said something else.
    #[error("gpg said: {0}")]
    Other(String),
}

/// The signatures of a package are not what the policy asks for.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// gpg cannot be run as the settings say.
    #[error("signatures cannot be verified")]
    Command(#[from] CommandError),
    /// The package is damaged.
    #[error(transparent)]
    Package(#[from] GpkgError),
    /// A signature is not good.
    #[error("the signature of the {part} is not good")]
    Signature {
        /// What is signed.
        part: &'static str,
        /// Why.
        source: Fault,
    },
    /// The package must be signed.
    #[error(
        "the package is not signed, and signatures are asked for (by FEATURES=binpkg-request-signature, verify-signature or ebd-signatures of its host, or because there are keys in BINPKG_GPG_VERIFY_GPG_HOME)"
    )]
    Unsigned,
    /// What was verified is not what was read.
    #[error("the signed Manifest is not the one that was read")]
    OtherManifest,
    /// A file for the signature cannot be written.
    #[error("the signature cannot be given to gpg")]
    Temporary(#[source] std::io::Error),
}

/// Checks signatures as the settings say.
#[derive(Debug, Clone)]
pub struct Verifier {
    command: String,
    settings: Vec<(String, String)>,
    user: (Option<u32>, Option<u32>),
}

impl Verifier {
    /// A verifier with the settings `BINPKG_GPG_VERIFY_*`, as `value` gives them. As root it becomes
    /// `GPG_VERIFY_USER_DROP`, or nobody, unless that is empty.
    ///
    /// # Errors
    /// The command is not set, or is none, or there is no such user.
    pub fn from_settings(value: &dyn Fn(&str) -> Option<String>) -> Result<Self, CommandError> {
        let set = |name: &str| value(name).filter(|value| !value.is_empty());
        let mut command = set(SETTING).ok_or(CommandError::Unset(SETTING))?;
        let home = match set("BINPKG_GPG_VERIFY_GPG_HOME")
            .as_deref()
            .map(shell_words::quote)
        {
            Some(home) => format!("--homedir {home}"),
            None => String::new(),
        };
        command = command.replace("[PORTAGE_CONFIG]", &home);
        // All variables that it may have.
        let settings = command
            .split('$')
            .skip(1)
            .map(|rest| {
                rest.trim_start_matches('{')
                    .chars()
                    .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                    .collect::<String>()
            })
            .filter_map(|name| Some((name.clone(), value(&name)?)))
            .collect();
        let mut user = (None, None);
        if geteuid().is_root() {
            let name = value("GPG_VERIFY_USER_DROP").unwrap_or_else(|| "nobody".to_owned());
            let group = value("GPG_VERIFY_GROUP_DROP").unwrap_or_else(|| "nogroup".to_owned());
            let none = |setting, name: &str| CommandError::Drop {
                setting,
                name: name.to_owned(),
            };
            if !name.is_empty() {
                let found = User::from_name(&name).ok().flatten();
                let found = found.ok_or_else(|| none("GPG_VERIFY_USER_DROP", &name))?;
                user.0 = Some(found.uid.as_raw());
            }
            if !group.is_empty() {
                let found = Group::from_name(&group).ok().flatten();
                let found = found.ok_or_else(|| none("GPG_VERIFY_GROUP_DROP", &group))?;
                user.1 = Some(found.gid.as_raw());
            }
        }
        Ok(Self {
            command,
            settings,
            user,
        })
    }

    /// Holds the signatures of a package against `policy`; checksums are another matter, see [`GpkgFile::verify`].
    ///
    /// Gives whether there was anything to verify and it was good.
    ///
    /// # Errors
    /// The first signature that is not good, or missing.
    pub fn verify(&self, package: &GpkgFile, policy: Policy) -> Result<bool, VerifyError> {
        match policy {
            Policy::Ignore => return Ok(false),
            Policy::IfSigned if !package.is_signed() => return Ok(false),
            Policy::Require | Policy::Warn if !package.is_signed() => {
                return Err(VerifyError::Unsigned);
            }
            Policy::IfSigned | Policy::Require | Policy::Warn => {}
        }
        let fault = |part| move |source| VerifyError::Signature { part, source };
        if !package.manifest().signed {
            return Err(fault("Manifest")(Fault::Missing));
        }
        let text = self
            .check(None, &mut package.manifest_text())?
            .map_err(fault("Manifest"))?;
        if Manifest::parse(&text)?.records != package.manifest().records {
            return Err(VerifyError::OtherManifest);
        }
        for (part, name) in [(Part::Metadata, "metadata"), (Part::Image, "image")] {
            let Some(signature) = package.signature(part)? else {
                return Err(fault(name)(Fault::Missing));
            };
            self.check(Some(&signature), &mut package.packed(part)?)?
                .map_err(fault(name))?;
        }
        Ok(true)
    }

    /// Has gpg check a signature that stands apart, or the one in the text, and gives the text.
    fn check(
        &self,
        signature: Option<&[u8]>,
        content: &mut (dyn Read + Send),
    ) -> Result<Result<Vec<u8>, Fault>, VerifyError> {
        let file = match signature {
            Some(signature) => {
                let mut file = tempfile::NamedTempFile::new().map_err(VerifyError::Temporary)?;
                file.write_all(signature).map_err(VerifyError::Temporary)?;
                // Another user may be the one who verifies.
                file.as_file()
                    .set_permissions(std::fs::Permissions::from_mode(0o644))
                    .map_err(VerifyError::Temporary)?;
                Some(file)
            }
            None => None,
        };
        let place = match &file {
            Some(file) => format!("'{}' -", file.path().display()),
            None => "--output - -".to_owned(),
        };
        let value = |name: &str| {
            let found = self.settings.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        let words = words(
            SETTING,
            &self.command.replace("[SIGNATURE]", &place),
            &value,
        )?;
        let outcome = run(&words, content, self.user)?;
        Ok(match judge(&outcome.messages, outcome.success) {
            Some(fault) => Err(fault),
            None => Ok(outcome.output),
        })
    }
}

/// What gpg's status lines say against a signature.
fn judge(messages: &str, success: bool) -> Option<Fault> {
    let status = |word: &str| {
        messages
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] "))
            .find_map(|line| {
                let rest = line.strip_prefix(word)?;
                (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim().to_owned())
            })
    };
    // The key's number, then the name of its owner.
    let owner = |rest: String| match rest.split_once(' ') {
        Some((_, name)) => name.to_owned(),
        None => rest,
    };
    let good = status("GOODSIG");
    let trusted = status("TRUST_ULTIMATE").or_else(|| status("TRUST_FULLY"));
    if let Some(rest) = status("BADSIG") {
        Some(Fault::Bad(owner(rest)))
    } else if let Some(rest) = status("REVKEYSIG") {
        Some(Fault::RevokedKey(owner(rest)))
    } else if let Some(rest) = status("EXPKEYSIG") {
        Some(Fault::ExpiredKey(owner(rest)))
    } else if let Some(rest) = status("EXPSIG") {
        Some(Fault::ExpiredSignature(owner(rest)))
    } else if let Some(rest) = status("NO_PUBKEY") {
        Some(Fault::UnknownKey(rest))
    } else if status("NODATA").is_some() {
        Some(Fault::Missing)
    } else if let (Some(rest), None) = (good.clone(), &trusted) {
        Some(Fault::Untrusted(owner(rest)))
    } else if success && good.is_some() && trusted.is_some() {
        None
    } else {
        Some(Fault::Other(messages.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_only_with_everything_that_speaks_for_it() {
        let good = "[GNUPG:] GOODSIG AB Someone <a@b>\n[GNUPG:] TRUST_FULLY 0 pgp\n";
        assert_eq!(judge(good, true), None);
        assert!(matches!(judge(good, false), Some(Fault::Other(_))));
        assert!(matches!(judge("", true), Some(Fault::Other(_))));
        let someone = || "Someone <a@b>".to_owned();
        for (messages, fault) in [
            (
                "[GNUPG:] GOODSIG AB Someone <a@b>\n[GNUPG:] TRUST_UNDEFINED 0 pgp\n",
                Fault::Untrusted(someone()),
            ),
            ("[GNUPG:] BADSIG AB Someone <a@b>\n", Fault::Bad(someone())),
            (
                "[GNUPG:] EXPKEYSIG AB Someone <a@b>\n[GNUPG:] TRUST_FULLY 0 pgp\n",
                Fault::ExpiredKey(someone()),
            ),
            (
                "[GNUPG:] EXPSIG AB Someone <a@b>\n",
                Fault::ExpiredSignature(someone()),
            ),
            (
                "[GNUPG:] REVKEYSIG AB Someone <a@b>\n",
                Fault::RevokedKey(someone()),
            ),
            (
                "[GNUPG:] ERRSIG AB 1\n[GNUPG:] NO_PUBKEY AB\n",
                Fault::UnknownKey("AB".into()),
            ),
            ("[GNUPG:] NODATA 4\n", Fault::Missing),
        ] {
            assert_eq!(judge(messages, true), Some(fault), "{messages}");
        }
        // Not gpg's own line.
        assert!(judge("x [GNUPG:] GOODSIG A B\n[GNUPG:] TRUST_FULLY\n", true).is_some());
        let both = format!("{good}[GNUPG:] BADSIG CD Other\n");
        assert_eq!(judge(&both, true), Some(Fault::Bad("Other".into())));
    }
}
