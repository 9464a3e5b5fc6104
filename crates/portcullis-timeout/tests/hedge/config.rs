//! Configurations from files, and what is wrong with them.

use std::time::Duration;

use breaker_core::{Percent, Value};
use portcullis_timeout::HedgeConfig;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn table(fields: &[(&str, Value)]) -> Value {
    Value::Table(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn wrong_paths(fields: &[(&str, Value)]) -> Vec<String> {
    let errors = HedgeConfig::from_value(&table(fields)).expect_err("problems");
    let mut paths: Vec<_> = errors.iter().map(|error| error.path.clone()).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn a_table_without_fields_is_the_default() {
    for nothing in [Value::Null, table(&[])] {
        assert_eq!(HedgeConfig::from_value(&nothing), Ok(HedgeConfig::new()));
    }
    assert_eq!(HedgeConfig::default(), HedgeConfig::new());
    assert!(HedgeConfig::new().check().is_ok());
}

#[test]
fn the_defaults_are_those_of_the_docs_and_each_field_is_read() {
    let ms = Duration::from_millis;
    let written = [
        ("name", text("hedge"), HedgeConfig::new()),
        ("percentile", Value::Int(95), HedgeConfig::new()),
        ("min_delay", text("10ms"), HedgeConfig::new()),
        ("max_delay", text("1s"), HedgeConfig::new()),
        ("initial", text("off"), HedgeConfig::new()),
        ("max_share", Value::Float(0.05), HedgeConfig::new()),
        ("name", text("search"), HedgeConfig::new().named("search")),
        (
            "percentile",
            Value::Float(99.9),
            HedgeConfig::new().percentile(Percent::basis_points(9_990)),
        ),
        ("min_delay", text("1ms"), HedgeConfig::new().min_delay(ms(1))),
        ("max_delay", text("10m"), HedgeConfig::new().max_delay(ms(600_000))),
        ("initial", text("50ms"), HedgeConfig::new().initial(ms(50))),
        ("max_share", Value::Float(0.5), HedgeConfig::new().max_share(Percent::new(50))),
    ];
    for (field, value, expected) in written {
        let read = HedgeConfig::from_value(&table(&[(field, value)]));
        assert_eq!(read, Ok(expected), "{field}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let all = [
        ("percentile", Value::Int(50)),
        ("min_delay", text("0ms")),
        ("max_delay", text("11m")),
        ("initial", text("never")),
        ("max_share", Value::Float(0.51)),
        ("nonsense", Value::Int(1)),
    ];
    let mut paths: Vec<_> = all.iter().map(|(path, _)| (*path).to_owned()).collect();
    paths.sort_unstable();
    assert_eq!(wrong_paths(&all), paths);
    for (field, value) in [
        ("percentile", Value::Int(100)),
        ("percentile", text("95")),
        ("max_share", Value::Int(0)),
        ("min_delay", text("2s")),
        ("initial", text("1ms")),
        ("initial", text("2s")),
    ] {
        assert_eq!(wrong_paths(&[(field, value)]), [field]);
    }
}

#[test]
fn values_that_do_not_fit_together_are_refused_at_construction() {
    let wrong = HedgeConfig::new().min_delay(Duration::from_secs(2));
    assert!(wrong.check().is_err());
    let made = std::panic::catch_unwind(|| portcullis_timeout::HedgeLayer::new(wrong));
    assert!(made.is_err());
}

#[cfg(feature = "serde")]
#[test]
fn a_file_is_read_as_a_value_is() {
    let read: HedgeConfig = toml::from_str("max_share = 0.02\nmin_delay = \"20ms\"").expect("toml");
    let meant = HedgeConfig::new().max_share(Percent::new(2)).min_delay(Duration::from_millis(20));
    assert_eq!(read, meant);
    let said = toml::from_str::<HedgeConfig>("max_share = 2").expect_err("too much").to_string();
    assert!(said.contains("did you mean 0.02"), "{said}");
}
