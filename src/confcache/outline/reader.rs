//! What reads a script: its commands, from the first to the last.

use std::ops::Range;

use super::words::may_be_pattern;
use super::{Assignment, Command, DEEP, Function, If, Outline, Strange, is_name};

/// What a word at the begin of a command is part of.
enum Frame {
    If {
        condition: usize,
        then: Option<Range<usize>>,
        or_else: Option<usize>,
        elif: bool,
    },
    /// Whether a pattern is next.
    Case {
        pattern: bool,
    },
    /// From `while`, `until` or `for` to `do`.
    Head,
    Loop,
    Brace,
    Paren,
}

/// The list of commands that is being read in a frame.
#[derive(Default)]
struct List {
    /// Whether an `&&`, `||` or `|` has made what follows conditional, up to the end of the list.
    listed: bool,
    /// How many assignments there were before its last pipeline.
    pipeline: usize,
}

/// Where an assignment stands that is come to by nobody, or lost.
const NOWHERE: usize = usize::MAX;

/// Reads a script.
pub(super) struct Reader<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) deep: usize,
    /// In how many shells of their own.
    pub(super) apart: usize,
    /// Here-documents that begin at the next line: the word, whether it replaces, whether tabs count.
    pub(super) wanted: Vec<(Vec<u8>, bool, bool)>,
    /// Where the things began that may be left out.
    pub(super) conditions: Vec<usize>,
    pub(super) outline: Outline,
}

impl Reader<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn ahead(&self, by: usize) -> Option<u8> {
        self.text.get(self.at + by).copied()
    }

    pub(super) fn strange<T>(&self) -> Result<T, Strange> {
        Err(Strange(self.at))
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.text.get(range).unwrap_or_default()
    }

    /// Reads commands to the end, or to the `)` of a substitution.
    pub(super) fn commands(&mut self, substitution: bool) -> Result<(), Strange> {
        self.deep += 1;
        if self.deep > DEEP {
            return self.strange();
        }
        let bottom = self.conditions.len();
        let mut frames: Vec<Frame> = Vec::new();
        // Functions whose bodies are open: how many frames were below, and the name.
        let mut functions: Vec<(usize, Range<usize>, usize)> = Vec::new();
        let mut named: Option<Range<usize>> = None;
        let mut begin = true;
        let mut last: Range<usize> = 0..0;
        // One for each frame, and one around them.
        let mut lists = vec![self.list()];
        // Whether the list goes on in the next line.
        let mut goes_on = false;
        // How many assignments stand before the command whose name comes next.
        let mut before = 0;
        let mut command: Option<usize> = None;
        loop {
            let Some(byte) = self.peek() else {
                if substitution || !frames.is_empty() || !self.wanted.is_empty() {
                    return self.strange();
                }
                break;
            };
            let pattern = matches!(frames.last(), Some(Frame::Case { pattern: true }));
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.ahead(1) == Some(b'\n') => self.at += 2,
                b'\n' => {
                    self.at += 1;
                    self.documents()?;
                    if !pattern && !goes_on {
                        self.end_list(&mut lists);
                    }
                    begin = true;
                    before = 0;
                }
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                b';' if self.ahead(1) == Some(b';') => {
                    self.at += 2;
                    self.end_list(&mut lists);
                    match frames.last_mut() {
                        Some(Frame::Case { pattern }) => *pattern = true,
                        _ => return self.strange(),
                    }
                    self.conditions.pop();
                    begin = true;
                }
                b';' | b'&' | b'|' => {
                    let twice = self.ahead(1) == Some(byte);
                    self.at += 1 + usize::from(twice);
                    if !pattern {
                        match (byte, twice) {
                            (b';', _) => self.end_list(&mut lists),
                            (b'&', false) => {
                                self.outline.background.push(self.at);
                                self.end_list(&mut lists);
                            }
                            _ => self.goes_on(&mut lists, !twice),
                        }
                        goes_on = twice || byte == b'|';
                    }
                    begin = true;
                    before = 0;
                }
                b'(' if pattern => self.at += 1,
                b'(' => {
                    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
                    let mut next = self.at + 1;
                    while self.text.get(next).is_some_and(&blank) {
                        next += 1;
                    }
                    if !begin
                        && self.text.get(next) == Some(&b')')
                        && is_name(self.bytes(last.clone()))
                    {
                        named = Some(last.clone());
                        self.at = next + 1;
                    } else if begin {
                        if self.ahead(1) == Some(b'(') {
                            self.outline.unread.push(self.at);
                        }
                        self.at += 1;
                        self.apart += 1;
                        frames.push(Frame::Paren);
                        lists.push(self.list());
                        // What is assigned in there is lost.
                        self.conditions.push(self.at);
                    } else {
                        return self.strange();
                    }
                    begin = true;
                    goes_on = false;
                    before = 0;
                }
                b')' => {
                    if let Some(Frame::Case { pattern }) = frames.last_mut()
                        && *pattern
                    {
                        *pattern = false;
                        self.at += 1;
                        self.conditions.push(self.at);
                        begin = true;
                        continue;
                    }
                    self.end_list(&mut lists);
                    if frames.is_empty() && substitution {
                        break;
                    }
                    match frames.pop() {
                        Some(Frame::Paren) => {}
                        _ => return self.strange(),
                    }
                    lists.pop();
                    self.apart -= 1;
                    self.conditions.pop();
                    self.at += 1;
                    begin = true;
                    before = 0;
                }
                b'<' | b'>' => self.redirection()?,
                _ => {
                    let from = self.at;
                    self.word()?;
                    if self.at == from {
                        return self.strange();
                    }
                    let word = from..self.at;
                    if !pattern && may_be_pattern(self.bytes(word.clone())) {
                        self.outline.patterns.push(word.clone());
                    }
                    if matches!(self.peek(), Some(b'<' | b'>'))
                        && self.bytes(word.clone()).iter().all(u8::is_ascii_digit)
                    {
                        continue;
                    }
                    if pattern {
                        if self.bytes(word.clone()) == b"esac" {
                            frames.pop();
                            lists.pop();
                            begin = true;
                        }
                        continue;
                    }
                    goes_on = false;
                    if !begin {
                        self.more(command, &word);
                        last = word;
                        continue;
                    }
                    let keyword = self.bytes(word.clone()).to_vec();
                    match keyword.as_slice() {
                        b"if" => {
                            frames.push(Frame::If {
                                condition: self.at,
                                then: None,
                                or_else: None,
                                elif: false,
                            });
                            lists.push(self.list());
                        }
                        b"then" => {
                            self.end_list(&mut lists);
                            let Some(Frame::If { then, elif, .. }) = frames.last_mut() else {
                                return self.strange();
                            };
                            // From the first condition on all is conditional.
                            if !*elif {
                                *then = Some(from..self.at);
                                self.conditions.push(self.at);
                            }
                        }
                        b"elif" | b"else" => {
                            self.end_list(&mut lists);
                            let at = self.at;
                            let Some(Frame::If {
                                then,
                                or_else,
                                elif,
                                condition,
                            }) = frames.last_mut()
                            else {
                                return self.strange();
                            };
                            let Some(open) = then.take() else {
                                return self.strange();
                            };
                            if or_else.is_some() {
                                return self.strange();
                            }
                            if keyword == b"elif" {
                                if !*elif {
                                    // The condition of an `elif` belongs to no check.
                                    *condition = at;
                                }
                                *elif = true;
                                *then = Some(open);
                                // The place of what is behind it is another.
                                self.conditions.pop();
                                self.conditions.push(at);
                            } else {
                                *then = Some(open.start..open.end);
                                *or_else = Some(at);
                                let condition = *condition;
                                let whole = If {
                                    condition: condition..open.start,
                                    then: open.end..from,
                                    or_else: None,
                                };
                                if !*elif {
                                    self.outline.ifs.push(whole);
                                }
                                self.conditions.pop();
                                self.conditions.push(at);
                            }
                        }
                        b"fi" => {
                            self.end_list(&mut lists);
                            lists.pop();
                            let Some(Frame::If {
                                then: Some(_),
                                or_else,
                                elif,
                                condition,
                            }) = frames.pop()
                            else {
                                return self.strange();
                            };
                            self.conditions.pop();
                            if let Some(or_else) = or_else
                                && !elif
                                && let Some(known) = self
                                    .outline
                                    .ifs
                                    .iter_mut()
                                    .rev()
                                    .find(|known| known.condition.start == condition)
                            {
                                known.or_else = Some(or_else..from);
                            }
                        }
                        b"case" => {
                            self.blanks();
                            self.word()?;
                            self.blanks_and_lines()?;
                            let from = self.at;
                            self.word()?;
                            if self.bytes(from..self.at) != b"in" {
                                return self.strange();
                            }
                            frames.push(Frame::Case { pattern: true });
                            lists.push(self.list());
                        }
                        b"esac" => {
                            self.end_list(&mut lists);
                            lists.pop();
                            match frames.pop() {
                                Some(Frame::Case { .. }) => {
                                    self.conditions.pop();
                                }
                                _ => return self.strange(),
                            }
                        }
                        b"for" | b"select" => {
                            self.blanks();
                            let name = self.at;
                            self.word()?;
                            let name = name..self.at;
                            if !is_name(self.bytes(name.clone())) {
                                return self.strange();
                            }
                            self.assign(name, self.at..self.at);
                            frames.push(Frame::Head);
                            lists.push(self.list());
                            self.blanks();
                            // `for x do`; else what follows are words up to the end of the list.
                            begin = self.text.get(self.at..self.at + 2) == Some(b"do");
                            command = None;
                            continue;
                        }
                        b"while" | b"until" => {
                            frames.push(Frame::Head);
                            lists.push(self.list());
                        }
                        b"do" => {
                            self.end_list(&mut lists);
                            match frames.last_mut() {
                                Some(head @ Frame::Head) => *head = Frame::Loop,
                                _ => return self.strange(),
                            }
                            self.conditions.push(self.at);
                        }
                        b"done" => {
                            self.end_list(&mut lists);
                            lists.pop();
                            match frames.pop() {
                                Some(Frame::Loop) => {
                                    self.conditions.pop();
                                }
                                _ => return self.strange(),
                            }
                        }
                        b"{" => {
                            if let Some(name) = named.take() {
                                functions.push((frames.len(), name, from));
                                self.conditions.push(from);
                            }
                            frames.push(Frame::Brace);
                            lists.push(self.list());
                        }
                        b"}" => {
                            self.end_list(&mut lists);
                            lists.pop();
                            match frames.pop() {
                                Some(Frame::Brace) => {}
                                _ => return self.strange(),
                            }
                            if functions
                                .last()
                                .is_some_and(|(below, ..)| *below == frames.len())
                                && let Some((_, name, from)) = functions.pop()
                            {
                                self.conditions.pop();
                                self.outline.functions.push(Function {
                                    name,
                                    body: from..self.at,
                                });
                            }
                        }
                        b"!" => {}
                        b"." | b"source" => {
                            command = Some(self.command(&word, before));
                            self.sources();
                            begin = false;
                            last = word;
                            continue;
                        }
                        _ => {
                            let equals = keyword.iter().position(|byte| *byte == b'=');
                            let name = equals.and_then(|at| keyword.get(..at));
                            // What is added to a variable is assigned to it too.
                            let name = name.map(|name| name.strip_suffix(b"+").unwrap_or(name));
                            match (name, equals) {
                                (Some(name), Some(at)) if is_name(name) => {
                                    self.assign(from..from + name.len(), from + at + 1..self.at);
                                    before += 1;
                                }
                                _ => {
                                    command = Some(self.command(&word, before));
                                    begin = false;
                                    last = word;
                                }
                            }
                            continue;
                        }
                    }
                    if named.is_some() {
                        // A function whose body is something else than braces.
                        return self.strange();
                    }
                    begin = true;
                    before = 0;
                }
            }
        }
        if self.conditions.len() != bottom {
            self.end_list(&mut lists);
        }
        if self.conditions.len() != bottom {
            return self.strange();
        }
        self.deep -= 1;
        Ok(())
    }

    /// Notes that a file is sourced whose name comes next.
    pub(super) fn sources(&mut self) {
        self.blanks();
        match self.peek() {
            None | Some(b'~' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')') => {
                self.outline.sources_unseen = true;
            }
            Some(_) => self.outline.sources.push(self.at),
        }
    }

    /// A list that begins here.
    fn list(&self) -> List {
        List {
            listed: false,
            pipeline: self.outline.assignments.len(),
        }
    }

    /// What follows is come to only if, or while, what was read of the list lets it. Of a pipeline each part is
    /// run by a shell of its own.
    fn goes_on(&mut self, lists: &mut [List], is_pipe: bool) {
        let Some(list) = lists.last_mut() else {
            return;
        };
        let all = &mut self.outline.assignments;
        if is_pipe {
            for lost in all.get_mut(list.pipeline..).into_iter().flatten() {
                lost.within = NOWHERE;
            }
        } else {
            list.pipeline = all.len();
        }
        if !std::mem::replace(&mut list.listed, true) {
            self.conditions.push(self.at);
        }
    }

    fn end_list(&mut self, lists: &mut [List]) {
        let Some(list) = lists.last_mut() else {
            return;
        };
        list.pipeline = self.outline.assignments.len();
        if std::mem::take(&mut list.listed) {
            self.conditions.pop();
        }
    }

    /// Notes a command by its first word, and gives its number. The assignments before it hold for it only.
    pub(super) fn command(&mut self, word: &Range<usize>, assignments: usize) -> usize {
        for before in self.outline.assignments.iter_mut().rev().take(assignments) {
            before.within = NOWHERE;
        }
        let words = vec![self.bytes(word.clone()).to_vec()];
        self.outline.commands.push(Command {
            at: word.start,
            words,
            apart: self.apart > 0,
        });
        self.outline.commands.len() - 1
    }

    /// Notes another word of a command.
    pub(super) fn more(&mut self, command: Option<usize>, word: &Range<usize>) {
        let more = self.text.get(word.clone()).unwrap_or_default();
        let command = command.and_then(|number| self.outline.commands.get_mut(number));
        if let Some(command) = command {
            command.words.push(more.to_vec());
        }
    }

    pub(super) fn assign(&mut self, name: Range<usize>, value: Range<usize>) {
        let within = self.conditions.last().copied().unwrap_or(0);
        self.outline.assignments.push(Assignment {
            name,
            value,
            within,
        });
    }
}
