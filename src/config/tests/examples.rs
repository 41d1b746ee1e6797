//! Every file in `conf/` and every example of the README is right as soon as its variables are set.

use super::super::load::{load, load_str};
use super::lines;
use std::path::Path;

#[test]
fn are_all_right() {
    for name in [
        "overspill",
        "hybrid",
        "self-hosted",
        "keys",
        "deepseekrouter",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("conf/{name}.yaml"));
        let key = |variable: &str| Some(format!("dummy-{}", variable.to_lowercase()));
        let loaded = load(&path, &key).unwrap_or_else(|problems| panic!("{:#?}", lines(&problems)));
        assert!(!loaded.snapshot.routes.is_empty());
        let text = std::fs::read_to_string(&path).unwrap();
        let references = text
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split('}').next());
        for variable in references {
            let commented = text
                .lines()
                .any(|line| line.starts_with('#') && line.contains(variable));
            assert!(commented, "{name}: its head does not name {variable}");
            let unset = |other: &str| (other != variable).then(|| "dummy".to_owned());
            let problems = lines(&load(&path, &unset).unwrap_err());
            assert!(
                problems.iter().any(|line| line.contains(variable)),
                "{name}: {problems:?}"
            );
        }
    }
}

#[test]
fn those_of_the_readme_are_right_too() {
    let readme = include_str!("../../../README.md");
    let blocks = readme.split("```yaml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let whole: Vec<&str> = blocks.filter(|text| text.contains("\nroutes:")).collect();
    assert!(whole.len() >= 4, "{}", whole.len());
    for text in whole {
        let key = |variable: &str| Some(format!("dummy-{}", variable.to_lowercase()));
        if let Err(problems) = load_str(text, "README.md", &key) {
            panic!("{:#?}\n{text}", lines(&problems));
        }
    }
}
