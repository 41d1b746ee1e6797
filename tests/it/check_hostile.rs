//! `overspill check` and files that are no configuration at all; and what its exit codes say.

use crate::check::{GOOD, check};
use crate::harness::gateway::{Directory, run};

#[test]
fn no_file_ends_in_a_panic() {
    let laughs: String = (1..30)
        .map(|n| {
            format!(
                "a{n}: &a{n} [{}]\n",
                vec![format!("*a{}", n - 1); 9].join(", ")
            )
        })
        .collect();
    let mut files: Vec<Vec<u8>> = [
        "",
        " ",
        "\n\n",
        "null",
        "[]",
        "{}",
        "42",
        "\"text\"",
        "---\n---\n",
        "a: b: c",
        "\t\tx",
        "server: [1, 2]",
        "providers: 3",
        "routes: {}",
        "keys: \"x\"",
        "server:\n\tlisten: x",
        "routes:\n  - 1\n  - null\n  - []\n",
        "? [a, b]\n: c\n",
        "!!binary x",
        "&a [*a]",
        "*nobody",
        "providers: { one: null }",
        "providers: { \"\": {} }",
        "{{{{",
        "]",
        "server: {listen: [",
        "\u{feff}",
        "1: 2\ntrue: false\nnull: 1\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    files.push(vec![0, 159, 146, 150, 255]);
    files.push("[".repeat(100_000).into_bytes());
    files.push("a:\n".into());
    files.push(format!("a0: &a0 [x]\n{laughs}").into_bytes());
    files.push(
        (0..5000)
            .map(|n| format!("{}a:\n", " ".repeat(n)))
            .collect::<String>()
            .into_bytes(),
    );
    files.extend(
        (0..GOOD.len())
            .step_by(23)
            .map(|end| GOOD.as_bytes()[..end].to_vec()),
    );
    for file in files {
        let shown = String::from_utf8_lossy(&file[..file.len().min(80)]).into_owned();
        let said = check(&file);
        assert_eq!(said.code, Some(1), "{shown:?}: {}", said.text);
        assert!(
            said.text.len() < 1 << 20,
            "{shown:?}: {} bytes",
            said.text.len()
        );
    }
}

#[test]
fn exit_codes_say_whose_mistake_it_is() {
    let code = |arguments: &[&str]| run(arguments, &[]).status.code();
    assert_eq!(code(&["check", "/nonexistent/overspill.yaml"]), Some(1));
    assert_eq!(
        code(&["serve", "-c", "/nonexistent/overspill.yaml"]),
        Some(1)
    );
    assert_eq!(code(&["check"]), Some(2));
    assert_eq!(code(&["check", "one.yaml", "two.yaml"]), Some(2));
    assert_eq!(code(&["nonsense"]), Some(2));
    assert_eq!(code(&["serve", "--nonsense"]), Some(2));
    assert_eq!(code(&[]), Some(2));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--version"]), Some(0));
    let files = Directory::new();
    let bad = files.write(
        "overspill.yaml",
        GOOD.replace("provider: one", "provider: onee"),
    );
    let output = run(&["serve", "-c", bad.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("routes[0].targets[0].provider"));
    // A directory is no file.
    assert_eq!(code(&["check", files.path().to_str().unwrap()]), Some(1));
}
