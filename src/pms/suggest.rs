//! Names near a name that does not exist, for messages.

/// How many suggestions are of use.
const MOST: usize = 3;

/// The names nearest to `needle`, nearest first, at most three.
///
/// A name is near if few characters differ, one in three but no more than three; swapped neighbours count as one
/// difference, upper and lower case do not differ. A name that differs in case only comes first.
pub fn closest<'a>(needle: &str, haystack: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let folded = needle.to_lowercase();
    let length = folded.chars().count();
    let furthest = (length / 3).clamp(1, 3);
    let mut near: Vec<(usize, &str)> = haystack
        .into_iter()
        .filter(|name| *name != needle)
        // Cheap, and most names fall here.
        .filter(|name| name.chars().count().abs_diff(length) <= furthest)
        .map(|name| {
            (
                strsim::damerau_levenshtein(&folded, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, _)| *distance <= furthest)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.truncate(MOST);
    near.into_iter().map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_first() {
        let names = [
            "app-misc/foo",
            "app-misc/fop",
            "app-misc/bar",
            "sys-apps/foo",
        ];
        assert_eq!(
            closest("app-misc/fooo", names),
            ["app-misc/foo", "app-misc/fop"]
        );
        assert_eq!(closest("opnessl", ["openssl", "opera"]), ["openssl"]);
        assert_eq!(closest("SSL", ["ssh", "ssl"]), ["ssl", "ssh"]);
        assert_eq!(closest("sll", ["ssl", "tls", "zstd", "gnutls"]), ["ssl"]);
        assert!(closest("x", ["python", "perl"]).is_empty());
        assert!(closest("", ["python"]).is_empty());
        assert!(closest("same", ["same"]).is_empty());
    }
}
