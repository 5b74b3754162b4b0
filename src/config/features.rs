//! The words of FEATURES.

/// All words that Portage knows.
const KNOWN: &[&str] = &[
    "assume-digests",
    "binpkg-docompress",
    "binpkg-dostrip",
    "binpkg-ignore-signature",
    "binpkg-logs",
    "binpkg-multi-instance",
    "binpkg-request-signature",
    "binpkg-signing",
    "buildpkg",
    "buildpkg-live",
    "buildpkg-proactive",
    "buildsyspkg",
    "candy",
    "case-insensitive-fs",
    "ccache",
    "cgroup",
    "chflags",
    "clean-logs",
    "collision-protect",
    "compress-build-logs",
    "compress-index",
    "compressdebug",
    "confcache",
    "config-protect-if-modified",
    "dedupdebug",
    "digest",
    "distcc",
    "distlocks",
    "downgrade-backup",
    "ebuild-locks",
    "fail-clean",
    "fakeroot",
    "fixlafiles",
    "force-mirror",
    "getbinpkg",
    "gpg-keepalive",
    "home-dir-template-copy",
    "icecream",
    "installsources",
    "ipc-sandbox",
    "jobserver-token",
    "keeptemp",
    "keepwork",
    "lmirror",
    "merge-sync",
    "merge-use-vdb",
    "merge-wait",
    "metadata-transfer",
    "mirror",
    "mount-sandbox",
    "multilib-strict",
    "network-sandbox",
    "network-sandbox-proxy",
    "news",
    "noauto",
    "noclean",
    "nodoc",
    "noinfo",
    "noman",
    "nostrip",
    "notitles",
    "observability",
    "packdebug",
    "parallel-fetch",
    "parallel-install",
    "pid-sandbox",
    "pkgdir-index-trusted",
    "preserve-libs",
    "protect-owned",
    "python-trace",
    "qa-unresolved-soname-deps",
    "sandbox",
    "selinux",
    "sesandbox",
    "sfperms",
    "sign",
    "skiprocheck",
    "split-elog",
    "split-log",
    "splitdebug",
    "strict",
    "strict-keepdir",
    "stricter",
    "suidctl",
    "test",
    "test-fail-continue",
    "unknown-features-filter",
    "unknown-features-warn",
    "unmerge-backup",
    "unmerge-logs",
    "unmerge-orphans",
    "unprivileged",
    "userfetch",
    "userpriv",
    "usersandbox",
    "usersync",
    "warn-on-large-env",
    "webrsync-gpg",
    "xattr",
];

/// The words of a value that nobody knows.
pub(super) fn unknown(value: &str) -> Vec<&str> {
    value
        .split_whitespace()
        .filter(|word| !KNOWN.contains(word))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Root;
    use super::*;

    #[test]
    fn finds_unknown_words() {
        assert_eq!(unknown("sandbox sandbxo userpriv"), ["sandbxo"]);
    }

    #[test]
    fn unknown_features_are_told_or_filtered() {
        let root = Root::new().file("etc/portage/make.conf", "FEATURES=\"nonsense\"\n");
        assert_eq!(
            root.load().warnings(),
            ["FEATURES: unknown words: nonsense"]
        );
        let root = root.file(
            "etc/portage/make.conf",
            "FEATURES=\"nonsense unknown-features-filter\"\n",
        );
        assert!(!root.load().features().contains("nonsense"));
    }
}
