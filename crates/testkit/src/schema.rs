//! JSON Schema, as much of it as the schemas of this project use. An unknown keyword is for the
//! test of the schemas to refuse ([`walk`]), so none is passed over in silence.

use regex_lite::Regex;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A schema, and where the files are that it refers to.
struct Root {
    folder: PathBuf,
    schema: Value,
}

impl Root {
    fn open(folder: &Path, file: &str) -> Self {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let schema = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { folder: path.parent().expect("a directory").to_path_buf(), schema }
    }
}

/// Returns what is wrong with a value, by the schema in a file.
#[must_use]
pub fn problems(path: &Path, value: &Value) -> Vec<String> {
    let root = Root::open(Path::new(""), path.to_str().expect("UTF-8"));
    let mut problems = Vec::new();
    check(&root, &root.schema, value, "$", &mut problems);
    problems
}

/// The keywords that are checked here.
pub const KEYWORDS: &[&str] = &[
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "additionalProperties",
    "anyOf",
    "const",
    "description",
    "enum",
    "items",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "pattern",
    "properties",
    "propertyNames",
    "required",
    "title",
    "type",
];

/// Visits every schema within a schema.
pub fn walk(schema: &Value, visit: &mut dyn FnMut(&Map<String, Value>)) {
    let Some(object) = schema.as_object() else { return };
    visit(object);
    for key in ["additionalProperties", "items", "propertyNames"] {
        object.get(key).into_iter().for_each(|inner| walk(inner, visit));
    }
    for key in ["$defs", "properties"] {
        object
            .get(key)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .for_each(|(_, inner)| walk(inner, visit));
    }
    object
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .for_each(|inner| walk(inner, visit));
}

fn check(root: &Root, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let (file, pointer) = name.split_once('#').expect("a reference has a `#`");
        let other = (!file.is_empty()).then(|| Root::open(&root.folder, file));
        let root = other.as_ref().unwrap_or(root);
        let schema = root.schema.pointer(pointer).unwrap_or_else(|| panic!("no {name}"));
        return check(root, schema, value, at, problems);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let mut all = Vec::new();
        let fits = choices.iter().any(|choice| {
            let mut found = Vec::new();
            check(root, choice, value, at, &mut found);
            let fits = found.is_empty();
            all.extend(found);
            fits
        });
        if !fits {
            problems.push(format!("{at}: no choice fits: {all:?}"));
        }
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.clone()],
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        }
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| kind == kind_of(value)) {
        return problems.push(format!(
            "{at}: is {}; expected {}",
            kind_of(value),
            kinds.join(" or ")
        ));
    }
    if schema.get("const").is_some_and(|expected| expected != value) {
        problems.push(format!("{at}: is {value}; expected {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|list| !list.contains(value)) {
        problems.push(format!("{at}: is {value}; expected one of {}", schema["enum"]));
    }
    match value {
        Value::String(text) => check_text(schema, text, at, problems),
        Value::Array(items) => {
            check_count(schema, "minItems", "maxItems", items.len(), at, problems);
            for (index, item) in items.iter().enumerate() {
                check(root, &schema["items"], item, &format!("{at}[{index}]"), problems);
            }
        }
        Value::Object(object) => {
            check_count(schema, "minProperties", "maxProperties", object.len(), at, problems);
            for key in schema["required"].as_array().into_iter().flatten() {
                if !object.contains_key(key.as_str().expect("a schema")) {
                    problems.push(format!("{at}: no {key}"));
                }
            }
            for (key, inner) in object {
                let inner_at = format!("{at}.{key}");
                check_text(&schema["propertyNames"], key, &inner_at, problems);
                match (schema["properties"].get(key), &schema["additionalProperties"]) {
                    (Some(known), _) => check(root, known, inner, &inner_at, problems),
                    (None, Value::Bool(false)) => problems.push(format!("{inner_at}: unknown")),
                    (None, other) => check(root, other, inner, &inner_at, problems),
                }
            }
        }
        _ => {}
    }
}

fn check_text(schema: &Value, text: &str, at: &str, problems: &mut Vec<String>) {
    check_count(schema, "minLength", "maxLength", text.chars().count(), at, problems);
    if schema["pattern"]
        .as_str()
        .is_some_and(|pattern| !Regex::new(pattern).expect("a schema").is_match(text))
    {
        problems.push(format!("{at}: `{text}` does not match {}", schema["pattern"]));
    }
}

fn check_count(
    schema: &Value,
    least: &str,
    most: &str,
    count: usize,
    at: &str,
    problems: &mut Vec<String>,
) {
    let count = u64::try_from(count).expect("a schema");
    if schema[least].as_u64().is_some_and(|least| count < least)
        || schema[most].as_u64().is_some_and(|most| count > most)
    {
        problems.push(format!("{at}: has {count}"));
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
