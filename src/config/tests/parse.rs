use crate::config::document::{Mark, Node};
use crate::config::parse::parse;
use crate::config::place::Place;
use crate::config::problem::Problem;
use crate::config::reference::Surroundings;

const EMPTY: &str = "the file is empty; it needs at least `providers` and `routes`";

fn run(text: &str) -> Result<(Node, Vec<Problem>), Box<Problem>> {
    let env = |name: &str| (name == "SET").then(|| "value".to_owned());
    let around = Surroundings {
        env: &env,
        directory: std::path::Path::new(""),
    };
    parse(text, "f", around)
}

fn spoiled(text: &str) -> String {
    run(text).unwrap_err().to_string()
}

fn problems(text: &str) -> Vec<String> {
    run(text)
        .unwrap()
        .1
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn knows_where_things_stand() {
    let (root, problems) = run("a: 1\nb:\n  - x\n  - {c: \"${SET}!\"}\n").unwrap();
    assert!(problems.is_empty());
    let c = Place::root().key("b").index(1).key("c");
    assert_eq!(root.position(&c), Mark { line: 4, column: 9 });
    assert_eq!(
        root.position(&Place::root().key("b")),
        Mark { line: 2, column: 1 }
    );
    assert_eq!(
        root.position(&c.key("nothing")),
        Mark { line: 4, column: 9 }
    );
    let scalar = root.find(&c).unwrap().scalar().unwrap();
    assert_eq!((&*scalar.text, scalar.plain), ("value!", false));
    assert_eq!(scalar.references.as_deref(), Some("`${SET}`"));
}

#[test]
fn follows_anchors() {
    let (root, _) = run("a: &x {b: 1}\nc: *x\nd: [*x]").unwrap();
    for place in [Place::root().key("c"), Place::root().key("d").index(0)] {
        assert_eq!(
            &*root.find(&place.key("b")).unwrap().scalar().unwrap().text,
            "1"
        );
    }
}

#[test]
fn refuses_what_would_not_end() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(spoiled(&bomb).contains("more than 100000 values"));
    assert!(spoiled("a: &a [*a]").contains("alias cannot stand inside"));
    assert!(spoiled(&"[".repeat(100_000)).contains("recursion limit"));
    assert!(spoiled(&"- ".repeat(10_000)).contains("more than 64 deep"));
    assert!(spoiled(&"# x\n".repeat(2 << 20)).contains("larger than 4MiB"));
}

#[test]
fn says_what_spoils_a_file() {
    assert_eq!(spoiled(""), format!("f:1: {EMPTY}"));
    assert_eq!(spoiled("---\n"), format!("f:1: {EMPTY}"));
    assert_eq!(spoiled("# only a comment\n"), format!("f:1: {EMPTY}"));
    assert!(spoiled("a: 1\n---\nb: 2\n").starts_with("f:2: a second document"));
    assert!(spoiled("a: !!str 5").contains("tags such as"));
    assert!(spoiled("a: 1\nb: [").starts_with("f:"));
    let unquoted = spoiled("a: { api_key: ${SET} }");
    assert!(unquoted.contains("not valid YAML") && unquoted.contains("needs quotes"));
}

#[test]
fn goes_on_after_what_spoils_only_a_value() {
    let found = problems("a: 1\na: 2\nb:\n  - ok\n  - ${UNSET}\n[c]: 1\n${SET}: 1\n");
    assert_eq!(
        found,
        [
            "f:2: `a` is given twice; the first one stands",
            "f:5: b[1]: the environment variable `UNSET` is not set; \
             set it, or write `${UNSET:-default}`",
            "f:6: a key must be a single word",
            "f:7: a reference cannot stand in a key",
        ]
    );
}
