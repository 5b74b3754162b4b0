//! What differs between two environments.

use super::print::{self, Scope};
use super::{Environment, Function, Variable};

/// What became of a variable or function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only the newer environment has it.
    Added,
    /// Only the older one has it.
    Removed,
    /// Both have it, and not alike.
    Changed,
}

impl Change {
    /// The change in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// What differs between two environments, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The variables: value or attributes.
    pub variables: Vec<(String, Change)>,
    /// The functions.
    pub functions: Vec<(Vec<u8>, Change)>,
}

impl Difference {
    /// What is to be done to `old` to get `new`.
    #[must_use]
    pub fn between(old: &Environment, new: &Environment) -> Self {
        let mut variables: Vec<(String, Change)> = changes(
            old.variables().map(|it| (it.name().to_owned(), it)),
            |name| new.variable(name),
            same_variable,
        )
        .collect();
        let added = new.variables().map(|it| it.name().to_owned());
        let added = added.filter(|name| old.variable(name).is_none());
        variables.extend(added.map(|name| (name, Change::Added)));
        variables.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut functions: Vec<(Vec<u8>, Change)> = changes(
            old.functions().map(|it| (it.name().to_vec(), it)),
            |name| new.function(name),
            |one: Function<'_>, other: Function<'_>| one.body() == other.body(),
        )
        .collect();
        let added = new.functions().map(|it| it.name().to_vec());
        let added = added.filter(|name| old.function(name).is_none());
        functions.extend(added.map(|name| (name, Change::Added)));
        functions.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self {
            variables,
            functions,
        }
    }

    /// What is to be done the other way.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        let turn = |change: &mut Change| {
            *change = match *change {
                Change::Added => Change::Removed,
                Change::Removed => Change::Added,
                Change::Changed => Change::Changed,
            };
        };
        self.variables
            .iter_mut()
            .for_each(|(_, change)| turn(change));
        self.functions
            .iter_mut()
            .for_each(|(_, change)| turn(change));
        self
    }

    /// What of it `others` do not name.
    #[must_use]
    pub fn without(mut self, others: &Self) -> Self {
        self.variables
            .retain(|(name, _)| others.variables.iter().all(|(other, _)| other != name));
        self.functions
            .retain(|(name, _)| others.functions.iter().all(|(other, _)| other != name));
        self
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.functions.is_empty()
    }

    /// Statements that bring a shell from the older environment to `new`, wherever they are evaluated.
    #[must_use]
    pub fn to_bash(&self, new: &Environment) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, _) in &self.variables {
            text.extend_from_slice(format!("builtin unset -v {name}\n").as_bytes());
        }
        for (name, change) in &self.functions {
            if *change == Change::Removed {
                text.extend_from_slice(b"builtin unset -f -- ");
                text.extend_from_slice(&crate::processor::library::quote(name));
                text.push(b'\n');
            }
        }
        let mut wanted = new.clone();
        wanted.variables.retain(|variable| {
            let found = self.variables.iter();
            found.clone().any(|(name, _)| *name == variable.name)
        });
        let names: Vec<&[u8]> = self.functions.iter().map(|(name, _)| &**name).collect();
        let of_new = &new.text;
        wanted.functions.retain(|function| {
            let name = of_new.get(function.name.clone()).unwrap_or_default();
            names.contains(&name)
        });
        text.extend(print::print(&wanted, Scope::Global));
        text
    }
}

/// What became of those that were there.
fn changes<'a, N, T>(
    old: impl Iterator<Item = (N, T)> + 'a,
    find: impl Fn(&N) -> Option<T> + 'a,
    same: impl Fn(T, T) -> bool + 'a,
) -> impl Iterator<Item = (N, Change)> + 'a
where
    N: 'a,
    T: Copy + 'a,
{
    old.filter_map(move |(name, one)| {
        let change = match find(&name) {
            None => Change::Removed,
            Some(other) if same(one, other) => return None,
            Some(_) => Change::Changed,
        };
        Some((name, change))
    })
}

fn same_variable(one: Variable<'_>, other: Variable<'_>) -> bool {
    let text = |variable: Variable<'_>| variable.value().map(|value| value.text().to_vec());
    one.attributes() == other.attributes() && text(one) == text(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Environment {
        Environment::parse(text.as_bytes()).unwrap()
    }

    const OLD: &str = "declare -- A=\"1\"\ndeclare -x B=\"2\"\ndeclare -- GONE=\"x\"\n\
                       f () \n{ \n    :\n}\ng () \n{ \n    :\n}\nlost () \n{ \n    :\n}\n";
    const NEW: &str = "declare -- A=\"1\"\ndeclare -- B=\"2\"\ndeclare -a NEW=([0]=\"a b\" [1]=$'c\\nd')\n\
                       f () \n{ \n    :\n}\ng () \n{ \n    false\n}\nnew () \n{ \n    :\n}\n";

    #[test]
    fn each_change_has_its_kind() {
        let difference = Difference::between(&parse(OLD), &parse(NEW));
        let variables: Vec<_> = difference
            .variables
            .iter()
            .map(|(name, change)| (name.as_str(), change.word()))
            .collect();
        assert_eq!(
            variables,
            [("B", "changed"), ("GONE", "removed"), ("NEW", "added")]
        );
        let functions: Vec<_> = difference
            .functions
            .iter()
            .map(|(name, change)| (name.as_slice(), change.word()))
            .collect();
        assert_eq!(
            functions,
            [
                (&b"g"[..], "changed"),
                (b"lost", "removed"),
                (b"new", "added")
            ]
        );
        assert!(Difference::between(&parse(OLD), &parse(OLD)).is_empty());
    }

    #[test]
    fn the_statements_bring_a_function_s_caller_there() {
        let difference = Difference::between(&parse(OLD), &parse(NEW));
        let statements = String::from_utf8(difference.to_bash(&parse(NEW))).unwrap();
        let script = format!(
            "{OLD}\napply() {{ {statements}\n}}\napply\ndeclare -p A B NEW; declare -p GONE; declare -f f g lost new"
        );
        let run = |script: &str| {
            let output = std::process::Command::new("bash")
                .args(["--norc", "-c", script])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let expected = format!("{NEW}\ndeclare -p A B NEW; declare -f f g new");
        assert_eq!(run(&script), run(&expected));
    }
}
