//! Text -> template. In: characters. Out: nodes and steps, or a message with the place. Never: a value.

use super::{Comparison, MAX_STEPS, Node, Operand, Step};
use serde_json::Value;

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

pub fn template(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { text, at: 0 };
    let nodes = parser.nodes(0)?;
    if parser.at < text.len() {
        return Err(parser.wrong("{end} without {range}"));
    }
    Ok(nodes)
}

impl<'a> Parser<'a> {
    fn wrong(&self, what: &str) -> String {
        format!("jsonpath {:?}: {what} at character {}", self.text, self.text[..self.at].chars().count() + 1)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn expect(&mut self, expected: &str) -> Result<(), String> {
        if self.take(expected) { Ok(()) } else { Err(self.wrong(&format!("expected {expected:?}"))) }
    }

    /// Until the end of the text, or before an `{end}` of a surrounding range.
    fn nodes(&mut self, depth: usize) -> Result<Vec<Node>, String> {
        if depth > MAX_STEPS {
            return Err(self.wrong("ranges are nested too deeply"));
        }
        let mut nodes = Vec::new();
        while let Some(open) = self.rest().find('{') {
            if open > 0 {
                nodes.push(Node::Text(self.rest()[..open].to_string()));
                self.at += open;
            }
            let before = self.at;
            self.at += 1;
            self.skip_spaces();
            if self.keyword("end") {
                self.at = before;
                return Ok(nodes);
            }
            if self.keyword("range") {
                self.skip_spaces();
                let path = self.path(false)?;
                self.skip_spaces();
                self.expect("}")?;
                let body = self.nodes(depth + 1)?;
                self.expect("{").map_err(|_| self.wrong("{range} without {end}"))?;
                self.skip_spaces();
                if !self.keyword("end") {
                    return Err(self.wrong("expected {end}"));
                }
                self.skip_spaces();
                self.expect("}")?;
                nodes.push(Node::Range(path, body));
                continue;
            }
            loop {
                self.skip_spaces();
                match self.peek() {
                    Some('}') => {
                        self.at += 1;
                        break;
                    }
                    Some('"' | '\'') => nodes.push(Node::Text(self.string()?)),
                    Some(_) => nodes.push(Node::Path(self.path(false)?)),
                    None => return Err(self.wrong("an action is not closed")),
                }
            }
        }
        if !self.rest().is_empty() {
            nodes.push(Node::Text(self.rest().to_string()));
            self.at = self.text.len();
        }
        Ok(nodes)
    }

    fn keyword(&mut self, word: &str) -> bool {
        let follows = self.rest().strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '}', '\t']));
        if follows {
            self.at += word.len();
        }
        follows
    }

    /// `in_filter`: ends at an operator or a parenthesis as well.
    fn path(&mut self, in_filter: bool) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        let start = self.at;
        if self.take("$") {
            steps.push(Step::Root);
        } else {
            self.take("@");
        }
        loop {
            if steps.len() > MAX_STEPS {
                return Err(self.wrong("the path is too long"));
            }
            if self.take("..") {
                steps.push(Step::Descend);
                if self.peek() != Some('[') {
                    steps.push(self.field()?);
                }
            } else if self.take(".") {
                // `{.}` is the value itself.
                let ends = matches!(self.peek(), None | Some('}' | ' ' | ')'));
                if !ends && self.peek() != Some('[') {
                    steps.push(self.field()?);
                }
            } else if self.peek() == Some('[') {
                steps.push(self.bracket()?);
            } else {
                break;
            }
        }
        let ended = match self.peek() {
            None | Some('}' | ' ' | '\t' | '\n') => true,
            Some(')' | '=' | '!' | '<' | '>') => in_filter,
            // Text right after a path, as in {.a"x"}.
            Some('"' | '\'') => true,
            Some(_) => false,
        };
        if !ended || self.at == start {
            return Err(self.wrong("expected a path like .metadata.name"));
        }
        Ok(steps)
    }

    fn field(&mut self) -> Result<Step, String> {
        if self.take("*") {
            return Ok(Step::All);
        }
        let mut name = String::new();
        while let Some(c) = self.peek() {
            match c {
                '\\' => {
                    self.at += 1;
                    let Some(escaped) = self.peek() else { break };
                    name.push(escaped);
                    self.at += escaped.len_utf8();
                    continue;
                }
                '.' | '[' | ']' | '}' | '{' | ' ' | '\t' | '\n' | ')' | '(' | '=' | '!' | '<' | '>' | '"' | '\'' | ',' => break,
                c => name.push(c),
            }
            self.at += c.len_utf8();
        }
        if name.is_empty() { Err(self.wrong("expected a field name")) } else { Ok(Step::Field(name)) }
    }

    fn bracket(&mut self) -> Result<Step, String> {
        self.expect("[")?;
        self.skip_spaces();
        if self.take("?(") {
            let filter = self.filter()?;
            self.expect(")")?;
            self.skip_spaces();
            self.expect("]")?;
            return Ok(filter);
        }
        let mut steps = Vec::new();
        loop {
            self.skip_spaces();
            steps.push(self.selector()?);
            self.skip_spaces();
            if self.take("]") {
                break;
            }
            self.expect(",")?;
            if steps.len() > MAX_STEPS {
                return Err(self.wrong("the union is too long"));
            }
        }
        Ok(if steps.len() == 1 { steps.remove(0) } else { Step::Union(steps) })
    }

    fn selector(&mut self) -> Result<Step, String> {
        match self.peek() {
            Some('*') => {
                self.at += 1;
                Ok(Step::All)
            }
            Some('"' | '\'') => self.string().map(Step::Field),
            _ => {
                let first = self.integer()?;
                if !self.take(":") {
                    return first.map(Step::Index).ok_or_else(|| self.wrong("expected an index, a name in quotes, * or ?()"));
                }
                let second = self.integer()?;
                let third = if self.take(":") { self.integer()? } else { None };
                Ok(Step::Slice(first, second, third))
            }
        }
    }

    fn integer(&mut self) -> Result<Option<i64>, String> {
        let rest = self.rest();
        let length = rest.char_indices().take_while(|(at, c)| c.is_ascii_digit() || (*at == 0 && *c == '-')).count();
        if length == 0 {
            return Ok(None);
        }
        let number = rest[..length].parse().map_err(|_| self.wrong("not a number"))?;
        self.at += length;
        Ok(Some(number))
    }

    fn filter(&mut self) -> Result<Step, String> {
        self.skip_spaces();
        let left = self.operand()?;
        self.skip_spaces();
        let comparison = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let found = comparison.into_iter().find(|(text, _)| self.take(text));
        let Some((_, comparison)) = found else { return Ok(Step::Filter(left, None)) };
        self.skip_spaces();
        let right = self.operand()?;
        self.skip_spaces();
        Ok(Step::Filter(left, Some((comparison, right))))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        match self.peek() {
            Some('@' | '$' | '.') => self.path(true).map(Operand::Path),
            Some('"' | '\'') => self.string().map(|text| Operand::Literal(Value::String(text))),
            _ => {
                let rest = self.rest();
                let length = rest.find([')', ' ', '=', '!', '<', '>']).unwrap_or(rest.len());
                let literal = serde_json::from_str(&rest[..length])
                    .map_err(|_| self.wrong("expected @.field, text in quotes, a number, true or false"))?;
                self.at += length;
                Ok(Operand::Literal(literal))
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.peek().ok_or_else(|| self.wrong("expected a quote"))?;
        self.at += 1;
        let mut out = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((offset, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.at += offset + 1;
                    return Ok(out);
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, 'r')) => out.push('\r'),
                    Some((_, other)) => out.push(other),
                    None => break,
                },
                other => out.push(other),
            }
        }
        Err(self.wrong("a quote is not closed"))
    }
}
