//! Rust text as words and marks: comments, strings and characters are left out.

use std::iter::Peekable;
use std::str::Chars;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Word(String),
    /// `::`
    Joint,
    Mark(char),
}

/// Each token with its line, counted from one.
pub fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\n' => line += 1,
            '/' if chars.peek() == Some(&'/') => {
                while chars.next_if(|next| *next != '\n').is_some() {}
            }
            '/' if chars.peek() == Some(&'*') => line += block_comment(&mut chars),
            '"' => line += string(&mut chars),
            '\'' => quote(&mut chars),
            ':' if chars.next_if_eq(&':').is_some() => found.push((Token::Joint, line)),
            char if char.is_alphanumeric() || char == '_' => {
                let mut word = String::from(char);
                while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_')
                {
                    word.push(next);
                }
                let raw = matches!(word.as_str(), "r" | "br" | "cr");
                match chars.peek() {
                    Some('"' | '#') if raw => match raw_string(&mut chars) {
                        Some(lines) => line += lines,
                        None => continue,
                    },
                    _ => found.push((Token::Word(word), line)),
                }
            }
            char if char.is_whitespace() => {}
            char => found.push((Token::Mark(char), line)),
        }
    }
    found
}

fn block_comment(chars: &mut Peekable<Chars>) -> usize {
    let (mut depth, mut lines) = (0, 0);
    let mut before = '/';
    for char in chars.by_ref() {
        match (before, char) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {}
        }
        lines += usize::from(char == '\n');
        if depth == 0 {
            break;
        }
        // `/*/` opens once, and does not close what it has just opened.
        before = if matches!((before, char), ('/', '*') | ('*', '/')) {
            ' '
        } else {
            char
        };
    }
    lines
}

fn string(chars: &mut Peekable<Chars>) -> usize {
    let mut lines = 0;
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => lines += usize::from(chars.next() == Some('\n')),
            '\n' => lines += 1,
            _ => {}
        }
    }
    lines
}

/// Behind `r`: how many lines the string has, or None for a raw name (`r#type`).
fn raw_string(chars: &mut Peekable<Chars>) -> Option<usize> {
    let mut fences = 0;
    while chars.next_if_eq(&'#').is_some() {
        fences += 1;
    }
    chars.next_if_eq(&'"')?;
    let (mut lines, mut closing) = (0, None);
    for char in chars.by_ref() {
        lines += usize::from(char == '\n');
        closing = match (char, closing) {
            ('"', _) => Some(0),
            ('#', Some(seen)) => Some(seen + 1),
            _ => None,
        };
        if closing == Some(fences) {
            break;
        }
    }
    Some(lines)
}

/// A character, or a lifetime.
fn quote(chars: &mut Peekable<Chars>) {
    match chars.next() {
        Some('\\') => {
            chars.next();
            while chars.next_if(|next| *next != '\'').is_some() {}
            chars.next();
        }
        Some(_) if chars.next_if_eq(&'\'').is_some() => {}
        _ => {
            while chars
                .next_if(|next| next.is_alphanumeric() || *next == '_')
                .is_some()
            {}
        }
    }
}
