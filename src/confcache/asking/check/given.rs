//! What a check is given when it asks.

use super::super::super::checks::{Check, OF_THE_MOMENT, named_in, names};

/// All that a check is given: its arguments, and the values of variables without the mark that these are set.
pub(super) fn all_given<'v>(
    arguments: &'v [Vec<u8>],
    values: &'v [Vec<u8>],
) -> impl Iterator<Item = &'v [u8]> {
    let values = values.iter().filter_map(|value| value.strip_prefix(b"y"));
    arguments.iter().map(Vec::as_slice).chain(values)
}

/// The name of a variable that a check sets, put together of arguments and the values of others if it is written so.
pub(super) fn real(check: &Check, arguments: &[Vec<u8>], values: &[Vec<u8>], name: &str) -> String {
    let mut real = String::new();
    let mut rest = name;
    while let Some((before, behind)) = rest.split_once('$') {
        real.push_str(before);
        let braced = behind.strip_prefix('{');
        let behind = braced.unwrap_or(behind);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = behind.find(|c| !is_part(c)).unwrap_or(behind.len());
        // Behind a dollar that is not in braces one digit is the number of an argument.
        let is_argument = behind.starts_with(|c: char| c.is_ascii_digit());
        let end = if is_argument && braced.is_none() {
            1
        } else {
            end
        };
        let (of, behind) = behind.split_at(end);
        let value = match of.parse::<usize>() {
            Ok(at) => at
                .checked_sub(1)
                .and_then(|at| arguments.get(at))
                .map(Vec::as_slice),
            Err(_) => value(check, values, of),
        };
        real.push_str(&String::from_utf8_lossy(value.unwrap_or_default()));
        rest = match braced {
            Some(_) => behind.strip_prefix('}').unwrap_or(behind),
            None => behind,
        };
    }
    real + rest
}

/// The value of an input, without the mark that it is set.
pub(super) fn value<'v>(check: &Check, values: &'v [Vec<u8>], name: &str) -> Option<&'v [u8]> {
    let at = check.inputs.iter().position(|input| input == name)?;
    values.get(at)?.strip_prefix(b"y")
}

/// Whether something that a check is given names a variable that has another value each time, which need not be behind a
/// dollar to be evaluated.
pub(super) fn names_the_moment(arguments: &[Vec<u8>], values: &[Vec<u8>]) -> bool {
    all_given(arguments, values)
        .any(|value| names(value).any(|(name, _)| OF_THE_MOMENT.contains(&name)))
}

/// Whether a value that may be evaluated names arguments of the shell that are not among what the check depends on, or a
/// process.
pub(super) fn names_arguments(check: &Check, arguments: &[Vec<u8>], values: &[Vec<u8>]) -> bool {
    let is_unasked = |byte: u8| match byte {
        b'$' | b'!' | b'0' => true,
        b'1' | b'@' | b'*' | b'#' => !(check.in_function && check.sees_first),
        b'2'..=b'9' => !check.in_function,
        _ => false,
    };
    let names = |value: &[u8]| {
        memchr::memchr_iter(b'$', value).any(|at| {
            let behind = value.get(at + 1..).unwrap_or_default();
            let behind = behind.strip_prefix(b"{").unwrap_or(behind);
            behind.first().is_some_and(|byte| is_unasked(*byte))
        })
    };
    let inputs = check.inputs.iter().zip(values);
    // What this one holds is data.
    let mut values = inputs
        .filter(|(input, _)| *input != "PATH")
        .map(|(_, value)| value);
    values.any(|value| names(value)) || arguments.iter().any(|value| names(value))
}

/// A variable that a value names, and that is none of those that were asked for.
pub(super) fn unknown(check: &Check, values: &[Vec<u8>]) -> Option<String> {
    for (input, value) in check.inputs.iter().zip(values) {
        // What these hold is data.
        if matches!(input.as_str(), "PATH" | "IFS" | "as_nl") {
            continue;
        }
        for name in named_in(value) {
            let known = check.inputs.iter().any(|input| input.as_bytes() == name);
            let is_set = check.outputs.iter().any(|output| output.as_bytes() == name);
            if !known && !is_set {
                return Some(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::super::super::checks::{Asking, Script};
    use super::*;

    #[test]
    fn names_are_put_together_as_the_shell_does() {
        let text = r#"f () {
if eval test \${$3+y}
then :
  printf %s "(cached) " >&6
else
eval "$3=\$kind"
fi
}
"#;
        let asking = Asking {
            start: Some("start"),
            within: None,
            environment: &["kind".to_owned()],
        };
        let script = Script::of(text.as_bytes(), &asking).unwrap();
        let check = &script.checks[0];
        let values: Vec<Vec<u8>> = check
            .inputs
            .iter()
            .map(|name| match name.as_str() {
                "kind" => b"yint".to_vec(),
                _ => Vec::new(),
            })
            .collect();
        let arguments = [&b"1"[..], b"b", b"ac_cv_x", b"d"].map(<[u8]>::to_vec);
        for (name, wanted) in [
            ("plain", "plain"),
            ("$3", "ac_cv_x"),
            ("${3}_y", "ac_cv_x_y"),
            ("$31", "ac_cv_x1"),
            ("x_${kind}_y", "x_int_y"),
            ("x_$kind", "x_int"),
            ("$none", ""),
            ("$9", ""),
            ("${kind", "int"),
            ("x$", "x"),
        ] {
            assert_eq!(real(check, &arguments, &values, name), wanted, "{name}");
        }
    }
}
