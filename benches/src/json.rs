//! As much of JSON as the tables need to be written.

/// A string with its quotes.
pub(crate) fn string(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A number, or `null` where there is none.
pub(crate) fn number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| "null".to_owned(), |v| format!("{v:.3}"))
}

/// An object of fields whose values are JSON already.
pub(crate) fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}: {value}", string(name))).collect();
    format!("{{{}}}", fields.join(", "))
}

/// A list of values that are JSON already, one in each line.
pub(crate) fn list(values: &[String]) -> String {
    format!("[\n  {}\n]", values.join(",\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let fields = [("a \"b\"", string("c\\d\n")), ("e", number(Some(1.5))), ("f", number(None))];
        assert_eq!(object(&fields), r#"{"a \"b\"": "c\\d ", "e": 1.500, "f": null}"#);
        assert_eq!(list(&["1".to_owned(), "2".to_owned()]), "[\n  1,\n  2\n]");
    }
}
