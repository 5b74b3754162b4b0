//! What holds when no profile and no make.conf says otherwise.
//!
//! The values are those of Portage's own make.globals, since packages built with them are
//! compared with and installed beside Portage's. Settings of things that this program does its
//! own way (download commands, rsync, mail, delays) are left out: they exist only where somebody
//! has set them.

use std::collections::HashMap;

use super::shell_vars::{Setting, Variables};

const DEFAULTS: &[(&str, &str)] = &[
    ("CFLAGS", ""),
    ("CXXFLAGS", ""),
    ("LDFLAGS", ""),
    ("FFLAGS", ""),
    ("FCFLAGS", ""),
    ("GENTOO_MIRRORS", "http://distfiles.gentoo.org"),
    ("ACCEPT_PROPERTIES", "*"),
    ("ACCEPT_RESTRICT", "*"),
    ("DISTDIR", "/var/cache/distfiles"),
    ("PKGDIR", "/var/cache/binpkgs"),
    ("RPMDIR", "/var/cache/rpm"),
    ("PORTAGE_TMPDIR", "/var/tmp"),
    ("BINPKG_COMPRESS", "zstd"),
    ("BINPKG_FORMAT", "gpkg"),
    (
        "BINPKG_GPG_SIGNING_BASE_COMMAND",
        "/usr/bin/flock /run/lock/portage-binpkg-gpg.lock /usr/bin/gpg --sign --armor [PORTAGE_CONFIG]",
    ),
    ("BINPKG_GPG_SIGNING_DIGEST", "SHA512"),
    (
        "BINPKG_GPG_VERIFY_BASE_COMMAND",
        "/usr/bin/gpg --verify --batch --no-tty --no-auto-check-trustdb --status-fd 2 [PORTAGE_CONFIG] [SIGNATURE]",
    ),
    ("BINPKG_GPG_VERIFY_GPG_HOME", "/etc/portage/gnupg"),
    ("GPG_VERIFY_USER_DROP", "nobody"),
    ("GPG_VERIFY_GROUP_DROP", "nogroup"),
    (
        "FEATURES",
        "assume-digests binpkg-docompress binpkg-dostrip binpkg-logs binpkg-multi-instance buildpkg-live compress-index config-protect-if-modified distlocks ebuild-locks fixlafiles ipc-sandbox merge-sync merge-wait multilib-strict network-sandbox news parallel-fetch pkgdir-index-trusted pid-sandbox preserve-libs protect-owned qa-unresolved-soname-deps sandbox strict unknown-features-warn unmerge-logs unmerge-orphans userfetch userpriv usersandbox usersync",
    ),
    ("COLLISION_IGNORE", "/lib/modules/* *.py[co] *$py.class"),
    ("UNINSTALL_IGNORE", "/lib/modules/*"),
    ("PORTAGE_BZIP2_COMMAND", "bzip2"),
    ("PORTAGE_COMPRESS", "bzip2"),
    (
        "PORTAGE_COMPRESS_EXCLUDE_SUFFIXES",
        "css gif htm[l]? jp[e]?g js pdf png",
    ),
    ("PORTAGE_FETCH_CHECKSUM_TRY_MIRRORS", "5"),
    ("PORTAGE_FETCH_RESUME_MIN_SIZE", "350K"),
    ("CONFIG_PROTECT", "/etc"),
    ("CONFIG_PROTECT_MASK", "/etc/env.d"),
    (
        "USE_ORDER",
        "env:pkg:conf:defaults:pkginternal:features:repo:env.d",
    ),
    ("PORTAGE_WORKDIR_MODE", "0700"),
    ("PORTAGE_TRUST_HELPER", "/usr/bin/getuto"),
    (
        "PORTAGE_XATTR_EXCLUDE",
        "bcachefs.* bcachefs_effective.* \tbtrfs.* security.evm security.ima \tsecurity.selinux system.nfs4_acl user.apache_handler \tuser.Beagle.* user.dublincore.* user.mime_encoding user.xdg.*",
    ),
];

/// The defaults, noted in `known` for expansion as if they had been read from a file.
pub(super) fn variables(known: &mut HashMap<String, String>) -> Variables {
    DEFAULTS
        .iter()
        .map(|(name, value)| {
            known.insert((*name).to_owned(), (*value).to_owned());
            ((*name).to_owned(), Setting::at("<built in>", *value))
        })
        .collect()
}
