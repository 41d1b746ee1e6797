//! The events of chats and completions.

use super::Glance;
use crate::body::cursor::{Cursor, Span, is_blank};

pub fn glance(data: &[u8]) -> Option<Glance> {
    let mut cursor = Cursor::new(data);
    let mut glance = Glance::default();
    let mut nested_usage = None;
    let mut no_choice = false;
    match cursor.peek()? {
        // Gemini wraps its errors in a list.
        b'[' => {
            cursor.skip()?;
            glance.suspect = true;
        }
        _ => {
            cursor.object(|inner, key| {
                match key {
                    b"id" => glance.id = Some(inner.skip()?),
                    b"created" => glance.created = Some(inner.skip()?),
                    b"model" => glance.model = string(inner)?,
                    b"usage" | b"usageMetadata" => glance.usage = object(inner)?,
                    b"x_groq" if inner.peek()? == b'{' => {
                        inner.object(|groq, key| {
                            match key {
                                b"usage" => nested_usage = object(groq)?,
                                _ => groq.pass()?,
                            }
                            Some(())
                        })?;
                    }
                    b"choices" if inner.peek()? == b'[' => {
                        glance.known = true;
                        no_choice = true;
                        inner.array(|inner| {
                            no_choice = false;
                            choice(inner, &mut glance, &mut nested_usage)
                        })?;
                    }
                    b"error" | b"code" => {
                        let value = inner.skip()?;
                        glance.suspect |= !is_harmless(inner.text(&value));
                    }
                    b"base_resp" => glance.suspect |= base_resp(inner)?,
                    b"object" | b"type" => {
                        let value = inner.skip()?;
                        glance.suspect |= inner.text(&value) == b"\"error\"";
                    }
                    _ => inner.pass()?,
                }
                Some(())
            })?;
        }
    }
    glance.usage_alone = no_choice && glance.usage.is_some();
    glance.usage = glance.usage.or(nested_usage);
    cursor.is_at_end().then_some(glance)
}

fn choice(cursor: &mut Cursor, glance: &mut Glance, usage: &mut Option<Span>) -> Option<()> {
    if cursor.peek()? != b'{' {
        return cursor.pass();
    }
    let mut bit = 1;
    let mut ends = false;
    let said_before = std::mem::take(&mut glance.says);
    let mut says_by_its_end = false;
    cursor.object(|inner, key| {
        match key {
            b"index" => {
                let index = inner.skip()?;
                let index = std::str::from_utf8(inner.text(&index)).ok()?.parse();
                bit = 1 << index.unwrap_or(0u32).min(63);
            }
            b"delta" | b"message" if inner.peek()? == b'{' => {
                inner.object(|inner, key| part(inner, key, glance))?;
            }
            b"text" => text(inner, glance)?,
            b"finish_reason" => {
                let why = inner.skip()?;
                match inner.text(&why) {
                    // Some write the word for the value.
                    b"null" | b"\"\"" | b"\"null\"" => {}
                    b"\"stop\"" => ends = true,
                    b"\"error\"" => glance.failed = true,
                    _ => {
                        ends = true;
                        says_by_its_end = true;
                    }
                }
            }
            b"error" => {
                let error = inner.skip()?;
                glance.suspect |= !is_harmless(inner.text(&error));
            }
            b"usage" => *usage = object(inner)?,
            _ => inner.pass()?,
        }
        Some(())
    })?;
    glance.seen |= bit;
    glance.speaks |= if glance.says { bit } else { 0 };
    glance.says |= said_before || says_by_its_end;
    glance.finished |= if ends { bit } else { 0 };
    Some(())
}

/// One field of a delta.
fn part(cursor: &mut Cursor, key: &[u8], glance: &mut Glance) -> Option<()> {
    match key {
        b"content" => text(cursor, glance),
        b"role" => {
            glance.role = glance.role.take().or(string(cursor)?);
            Some(())
        }
        b"reasoning_content" | b"reasoning" => {
            let value = cursor.skip()?;
            let json = cursor.text(&value);
            if !is_blank(json) {
                glance.says = true;
                if json.starts_with(b"\"") {
                    glance.reasoning.get_or_insert(value);
                } else {
                    glance.beyond = true;
                }
            }
            Some(())
        }
        b"reasoning_details" => {
            let value = cursor.skip()?;
            glance.says |= !is_blank(cursor.text(&value));
            Some(())
        }
        b"tool_calls" | b"function_call" | b"refusal" | b"audio" | b"images" => {
            let value = cursor.skip()?;
            if !is_blank(cursor.text(&value)) {
                glance.says = true;
                glance.beyond = true;
            }
            Some(())
        }
        _ => cursor.pass(),
    }
}

fn text(cursor: &mut Cursor, glance: &mut Glance) -> Option<()> {
    let value = cursor.skip()?;
    let json = cursor.text(&value);
    if !is_blank(json) {
        glance.says = true;
        // Several choices in one event, or a list of parts, is more than one text.
        if json.starts_with(b"\"") && glance.text.is_none() {
            glance.text = Some(value);
        } else {
            glance.beyond = true;
        }
    }
    Some(())
}

fn string(cursor: &mut Cursor) -> Option<Option<Span>> {
    let is_string = cursor.peek()? == b'"';
    let value = cursor.skip()?;
    Some(is_string.then_some(value))
}

fn object(cursor: &mut Cursor) -> Option<Option<Span>> {
    let is_object = cursor.peek()? == b'{';
    let value = cursor.skip()?;
    Some(is_object.then_some(value))
}

/// What some write on every good event too.
fn is_harmless(json: &[u8]) -> bool {
    is_blank(json) || matches!(json, b"false" | b"0" | b"200" | b"20000")
}

/// MiniMax reports on every event here, on the good ones with a zero.
fn base_resp(cursor: &mut Cursor) -> Option<bool> {
    if cursor.peek()? != b'{' {
        cursor.skip()?;
        return Some(false);
    }
    let mut failed = false;
    cursor.object(|inner, key| {
        let value = inner.skip()?;
        failed |= key == b"status_code" && inner.text(&value) != b"0";
        Some(())
    })?;
    Some(failed)
}
