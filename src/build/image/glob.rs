//! Shell patterns over whole strings, where `*` also crosses `/`: what `[[ x == pattern ]]` and
//! fnmatch without flags mean.

/// Tells whether `pattern` matches all of `text`: `*`, `?`, `[…]` with ranges and `!` for
/// negation. A bracket that is never closed stands for itself.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star did not fit.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(p + 1),
            Some(b'[') => match bracket(&pattern[p..], text[t]) {
                Some((true, width)) => Some(p + width),
                Some((false, _)) => None,
                None => (text[t] == b'[').then_some(p + 1),
            },
            Some(&byte) => (byte == text[t]).then_some(p + 1),
            None => None,
        };
        match (step, retry) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((after_star, from))) => {
                retry = Some((after_star, from + 1));
                p = after_star;
                t = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Matches one byte against the bracket expression at the start of `pattern`, and gives its width.
fn bracket(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = pattern.get(1) == Some(&b'!');
    let start = if negated { 2 } else { 1 };
    // A `]` in the first place is a member.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|&b| b == b']')?;
    let members = &pattern[start..end];
    let mut found = false;
    let mut i = 0;
    while i < members.len() {
        if i + 2 < members.len() && members[i + 1] == b'-' {
            found |= (members[i]..=members[i + 2]).contains(&byte);
            i += 3;
        } else {
            found |= members[i] == byte;
            i += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::matches;

    fn m(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes())
    }

    #[test]
    fn stars_cross_slashes() {
        assert!(m("/lib*/modules/*.ko", "/lib64/modules/a/b.ko"));
        assert!(m("*", ""));
        assert!(m("a*b*c", "axxbyybzc"));
        assert!(!m("a*b*c", "axxbyybz"));
    }

    #[test]
    fn brackets() {
        assert!(m("lib[a-c]x", "libbx"));
        assert!(!m("lib[!a-c]x", "libbx"));
        assert!(m("[]]", "]"));
        assert!(m("a[b", "a[b"));
        assert!(m("htm[l]", "html"));
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = "*a".repeat(60);
        assert!(!m(&pattern, &"a".repeat(59)));
        assert!(!m(&format!("{pattern}b"), &"a".repeat(4000)));
    }
}
