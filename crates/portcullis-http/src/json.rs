//! One flat JSON object: all that a problem body needs.

use std::fmt::Write as _;

/// Writes the members in the order in which the methods are called.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self(String::from("{"))
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.string(value);
        self
    }

    pub(crate) fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        self.write(format_args!("{value}"));
        self
    }

    pub(crate) fn texts(mut self, name: &str, values: &[&str]) -> Self {
        self.name(name);
        for (index, value) in values.iter().enumerate() {
            self.0.push(if index == 0 { '[' } else { ',' });
            self.string(value);
        }
        self.0.push_str(if values.is_empty() { "[]" } else { "]" });
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.string(name);
        self.0.push(':');
    }

    fn string(&mut self, text: &str) {
        self.0.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                control @ '\0'..='\x1f' => {
                    self.write(format_args!("\\u{:04x}", u32::from(control)));
                }
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::Object;

    #[test]
    fn members_stand_in_order() {
        assert_eq!(Object::new().finish(), "{}");
        let object = Object::new().text("a", "x\"\\\n\u{7f}é").number("b", u64::MAX).finish();
        let expected = "{\"a\":\"x\\\"\\\\\\u000a\u{7f}é\",\"b\":18446744073709551615}";
        assert_eq!(object, expected);
    }

    #[test]
    fn lists_of_texts_are_those_of_the_format() {
        for (values, expected) in [
            (&[][..], "{\"a\":[]}"),
            (&["\""], "{\"a\":[\"\\\"\"]}"),
            (&["b", "c"], "{\"a\":[\"b\",\"c\"]}"),
        ] {
            assert_eq!(Object::new().texts("a", values).finish(), expected);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_by_a_json_parser(text in any::<String>()) {
            let object = Object::new().text(&text, &text).finish();
            let read: serde_json::Value = serde_json::from_str(&object).expect("JSON");
            assert_eq!(read[&text], serde_json::Value::String(text));
        }
    }
}
