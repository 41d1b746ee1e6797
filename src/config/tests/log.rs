use super::{lines, load};
use crate::config::snapshot::AccessTo;

const REST: &str = "
providers: { one: { base_url: 'http://one.test/v1', auth: none, models: { a: { name: a } } } }
routes: [{ name: all, targets: [{ provider: one }] }]
";

#[test]
fn lines_go_to_standard_output_or_to_a_file() {
    for (log, expected) in [
        ("{}", AccessTo::Stdout),
        ("{ access: stdout }", AccessTo::Stdout),
        (
            "{ access: /var/log/a.log }",
            AccessTo::File("/var/log/a.log".into()),
        ),
        (
            "{ access: 'logs/${KEY}' }",
            AccessTo::File("logs/sk-from-environment".into()),
        ),
    ] {
        let loaded = load(&format!("log: {log}{REST}")).unwrap();
        assert_eq!(loaded.snapshot.log.access, expected, "{log}");
    }
}

#[test]
fn what_is_no_place_is_told_what_to_write() {
    for (access, message) in [
        ("''", "is empty; write `stdout` or the path of a file"),
        (
            "stderr",
            "is for diagnostics; write `stdout` or the path of a file, and keep the two apart",
        ),
        (
            "off",
            "names no place; for no lines of requests write `level: warn`",
        ),
        (
            "'none'",
            "names no place; for no lines of requests write `level: warn`",
        ),
    ] {
        let problems = load(&format!("log: {{ access: {access} }}{REST}")).unwrap_err();
        let expected = format!("o.yaml:1: log.access: {message}");
        assert_eq!(lines(&problems), [expected]);
    }
}
