//! Whether a script can see in which order a compiler has written what it prints and what it complains of.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// A command of autoconf's, or what runs it, in a line in which errors go where the output goes. Where the output goes
/// elsewhere afterwards they are alone.
static MERGES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?mx)(?:
            \b(?:ac_compile|ac_link|ac_cpp|gl_absname_cpp)=[^\n]* |
            \(eval[^()\n]*\$\{?(?:ac_compile|ac_link|ac_cpp|gl_absname_cpp)\b[^()\n]*(?:\)[\ \t;}]*[^;|&()\n]*)?
        )2>&1(?:[\ \t]*$|[\ \t]*[^>\ \t\n])",
    )
    .ok()
});

pub(super) fn merges(script: &[u8]) -> bool {
    MERGES.as_ref().is_none_or(|regex| regex.is_match(script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_one_place_is_seen() {
        for script in [
            "ac_compile='$CC -c conftest.$ac_ext 2>&1'",
            ":\nx=`(eval \"$ac_link\") 2>&1`",
            "(eval \"$ac_cpp conftest.$ac_ext\") 2>&1 | grep x",
            "(eval $ac_cpp) >both 2>&1\n:",
            "x=`{ (eval \"$ac_link\"); } 2>&1`",
            "(eval $ac_cpp 2>&1)",
        ] {
            assert!(merges(script.as_bytes()), "{script}");
        }
        for script in [
            "(eval \"$ac_link\") 2>&5\nx 2>&1",
            "(eval \"$ac_compile\") 2>&1 >/dev/null | sed 1q",
            "(eval \"$ac_compile\") 2>conftest.err",
            "# 2>&1 ac_link",
            "if (eval \"$ac_link\") 2>conftest.err; then (./conftest) 2>&1 | sed 1q; fi",
        ] {
            assert!(!merges(script.as_bytes()), "{script}");
        }
    }
}
