//! How fast a whole body is read, by its size, its shape and where its model stands.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use overspill::body::scan::scan;

const KIB: usize = 1024;

criterion_group!(benches, sizes, shapes);
criterion_main!(benches);

fn sizes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan chat");
    for (name, size) in [
        ("1KB", KIB),
        ("32KB", 32 * KIB),
        ("512KB", 512 * KIB),
        ("1MB", 1024 * KIB),
        ("8MB", 8192 * KIB),
    ] {
        let messages = conversation(size - 100, prose);
        for (place, body) in [
            (
                "model first",
                format!(r#"{{"model":"deepseek/deepseek-v3.2",{messages}}}"#),
            ),
            (
                "model last",
                format!(r#"{{{messages},"model":"deepseek/deepseek-v3.2"}}"#),
            ),
        ] {
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_with_input(BenchmarkId::new(place, name), &body, |bencher, body| {
                bencher.iter(|| scan(black_box(body.as_bytes())));
            });
        }
    }
    group.finish();
}

fn shapes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan 512KB");
    let size = 512 * KIB;
    for (shape, field) in [
        ("prose", conversation(size, prose)),
        ("tool schemas", tools(size)),
        ("tool schemas, indented", indented_tools(size)),
        ("tool calls", tool_calls(size)),
        ("chinese", conversation(size, chinese)),
        (
            "chinese as \\u escapes",
            conversation(size, escaped_chinese),
        ),
        ("code", conversation(size, code)),
        ("numbers", numbers(size)),
        ("prompt", prompt(size)),
        ("image", image(size)),
    ] {
        let body = format!(r#"{{{field},"stream":true,"model":"deepseek/deepseek-v3.2"}}"#);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(shape),
            &body,
            |bencher, body| {
                bencher.iter(|| scan(black_box(body.as_bytes())));
            },
        );
    }
    group.finish();
}

/// Turns between a user and an assistant, from a sentence to a page.
fn conversation(size: usize, line: fn(&mut Dice) -> String) -> String {
    let mut dice = Dice(7);
    let mut text = String::from(r#""messages":[{"role":"system","content":"You are helpful."}"#);
    let mut role = "user";
    while text.len() < size {
        let _ = write!(text, r#",{{"role":"{role}","content":""#);
        for _ in 0..dice.roll(40) + 1 {
            text.push_str(&line(&mut dice));
        }
        text.push_str("\"}");
        role = if role == "user" { "assistant" } else { "user" };
    }
    text.push(']');
    text
}

fn prose(dice: &mut Dice) -> String {
    let mut line = String::new();
    for _ in 0..dice.roll(20) + 6 {
        let word = [
            "answer", "the", "gateway", "of", "a", "request", "stream", "over", "its",
        ];
        line.push_str(word.get(dice.roll(word.len())).unwrap_or(&"it"));
        line.push(' ');
    }
    match dice.roll(6) {
        0 => line.push_str(r#"\"quoted\" words."#),
        1 => line.push_str(r"\n\n"),
        _ => line.push_str(r".\n"),
    }
    line
}

fn chinese(_: &mut Dice) -> String {
    String::from(r"请把下面的段落翻译成英文,并且保留原来的语气和格式。\n")
}

fn escaped_chinese(dice: &mut Dice) -> String {
    chinese(dice)
        .trim_end_matches(r"\n")
        .encode_utf16()
        .fold(String::new(), |mut line, unit| {
            let _ = write!(line, "\\u{unit:04x}");
            line
        })
}

fn code(dice: &mut Dice) -> String {
    match dice.roll(4) {
        0 => String::from(r#"    if name == \"model\" {\n"#),
        1 => String::from(r#"        print(\"%s\\n\", name);\n"#),
        2 => String::from(r"    return value.get(index).copied();\n"),
        _ => String::from(r"\t}\n\n"),
    }
}

fn tools(size: usize) -> String {
    let mut dice = Dice(11);
    let mut text = String::from(r#""tools":["#);
    while text.len() < size {
        let number = dice.roll(1000);
        let _ = write!(
            text,
            r#"{{"type":"function","function":{{"name":"get_item_{number}","description":"Look up an item by its id.","parameters":{{"type":"object","properties":{{"id":{{"type":"string"}},"limit":{{"type":"integer","minimum":1,"maximum":{number}}},"kinds":{{"type":"array","items":{{"type":"string","enum":["a","bc","def"]}}}}}},"required":["id","limit"],"additionalProperties":false}}}}}},"#
        );
    }
    text.push_str("null]");
    text
}

fn indented_tools(size: usize) -> String {
    let value: serde_json::Value =
        serde_json::from_str(&format!("{{{}}}", tools(size / 3))).unwrap_or_default();
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.trim_start_matches('{')
        .trim_end_matches('}')
        .to_owned()
}

fn tool_calls(size: usize) -> String {
    let mut dice = Dice(13);
    let mut text = String::from(r#""messages":["#);
    while text.len() < size {
        let number = dice.roll(1_000_000);
        let _ = write!(
            text,
            r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"call_{number}","type":"function","function":{{"name":"get_weather","arguments":"{{\"city\": \"Paris\", \"unit\": \"celsius\", \"days\": {number}}}"}}}}]}},{{"role":"tool","tool_call_id":"call_{number}","content":"{{\"temperature\": 21.5, \"sky\": \"clear\"}}"}},"#
        );
    }
    text.push_str("null]");
    text
}

fn numbers(size: usize) -> String {
    let mut dice = Dice(17);
    let mut text = String::from(r#""input":["#);
    while text.len() < size {
        let _ = write!(
            text,
            "[{},{}.5,-{}e-3],",
            dice.roll(100),
            dice.roll(9999),
            dice.roll(9)
        );
    }
    text.push_str("[]]");
    text
}

fn prompt(size: usize) -> String {
    let mut dice = Dice(19);
    let mut text = String::from(r#""prompt":""#);
    while text.len() < size {
        text.push_str(&prose(&mut dice));
    }
    text.push('"');
    text
}

fn image(size: usize) -> String {
    let data = "iVBORw0KGgoAAAANSUhEUgAA".repeat(size / 24);
    format!(
        r#""messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]"#
    )
}

/// A small generator of numbers, the same on every run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as usize % sides
    }
}
