//! What a script does with pipes, and what it makes outside of its folder, in places for temporary files or not.

use std::fs;

use super::Trial;

/// Who writes to a pipe that nobody reads is ended, or a script that counts on it never ends.
#[test]
fn pipes_that_nobody_reads_end_who_writes_to_them() {
    let trial = Trial::new(
        "grep SigIgn /proc/self/status >made\n\
         (n=0; while test $n -lt 50000; do echo y || :; n=$((n+1)); done; : >survived) 2>/dev/null | head -n 1 >>made\n\
         : >config.status\n",
    );
    let look = || {
        let build = trial.path("build");
        let made = fs::read_to_string(build.join("made")).unwrap();
        (made, build.join("survived").exists())
    };
    let [(_, plain), (_, cached)] = trial.with_and_without(&[], &[], look);
    assert_eq!(plain, cached);
    assert!(!cached.1);
    assert!(!crate::support::ignores_pipes(
        plain.0.lines().next().unwrap()
    ));
    assert_eq!(trial.same_as_uncached(&["again"]), "learned");
    assert_eq!(trial.same_as_uncached(&["again"]), "hit");
}
