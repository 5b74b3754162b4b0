//! What is printed of a package: a text with the names of attributes in braces.

use super::{Attribute, QueryError, Subject};

/// Pieces of text and attributes.
#[derive(Debug, Clone)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Attribute(&'static Attribute),
}

impl Template {
    /// Reads `{name} …`; `{{` and `}}` are braces, `\n` and `\t` what they are in C.
    ///
    /// # Errors
    /// A brace without partner, or a name that no attribute has.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let offset = text.len() - rest.len();
            let known = [
                ("{{", '{'),
                ("}}", '}'),
                ("\\n", '\n'),
                ("\\t", '\t'),
                ("\\\\", '\\'),
            ];
            if let Some((written, meant)) = known
                .into_iter()
                .find(|(written, _)| rest.starts_with(written))
            {
                plain.push(meant);
                rest = rest.get(written.len()..).unwrap_or_default();
                continue;
            }
            let Some(inner) = rest.strip_prefix('{') else {
                plain.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
                continue;
            };
            let Some((name, behind)) = inner.split_once('}') else {
                return Err(QueryError::Brace {
                    text: text.to_owned(),
                    offset,
                });
            };
            let attribute = Attribute::named(name).map_err(|near| QueryError::Attribute {
                text: text.to_owned(),
                offset: offset + 1,
                name: name.to_owned(),
                near,
            })?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Attribute(attribute));
            rest = behind;
        }
        pieces.push(Piece::Text(plain));
        Ok(Template(pieces))
    }

    /// The text for a package.
    pub fn fill(&self, subject: &Subject<'_>) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Attribute(attribute) => attribute.text(subject),
        };
        self.0.iter().map(text).collect()
    }

    /// Whether the configuration has to be known.
    pub fn needs_configuration(&self) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Attribute(it) if it.needs_configuration()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pms::cpv::Cpv;

    #[test]
    fn fills_in() {
        let cpv = Cpv::parse("a/b-1").unwrap();
        let entry = "IUSE=+x y\nSLOT=2\n_eclasses_=e\t0\tf\t1\n";
        let subject = Subject::new(&cpv, "gentoo", entry, None);
        let fill = |text: &str| Template::parse(text).map(|template| template.fill(&subject));
        assert_eq!(
            fill("{cpv}:{slot}::{repo} {iuse}{{}}\\t{eclass}").unwrap(),
            "a/b-1:2::gentoo +x y{}\te f"
        );
        let message = fill("{cpv} {slott}").unwrap_err().to_string();
        assert!(
            message.contains("`slott`, at character 8; did you mean slot?"),
            "{message}"
        );
        assert!(
            fill("x{cpv")
                .unwrap_err()
                .to_string()
                .contains("at character 2")
        );
    }
}
