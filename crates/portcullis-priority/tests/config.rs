//! Configurations from files, and what is wrong with them.

use std::time::Duration;

use breaker_core::{Percent, Value};
use portcullis_priority::{Codel, Limit, Priority, QueueConfig, Throttle};
use proptest::prelude::{Strategy, any, prop_oneof, proptest};

fn int(number: i128) -> Value {
    Value::Int(number)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn table(fields: &[(&str, Value)]) -> Value {
    Value::Table(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// The paths of what is wrong with these fields, sorted.
fn wrong_paths(fields: &[(&str, Value)]) -> Vec<String> {
    let errors = QueueConfig::from_value(&table(fields)).expect_err("problems");
    let mut paths: Vec<_> = errors.iter().map(|error| error.path.clone()).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn a_table_without_fields_is_the_default() {
    for nothing in [Value::Null, table(&[])] {
        assert_eq!(QueueConfig::from_value(&nothing), Ok(QueueConfig::new()));
    }
    assert_eq!(QueueConfig::default(), QueueConfig::new());
    assert!(QueueConfig::new().check().is_ok());
}

/// As the docs of the setters have them, and another value for each.
const FIELDS: [(&str, &str, &str); 20] = [
    ("name", "priority-queue", "other"),
    ("reserved_critical", "5", "6"),
    ("reserved_high", "10", "11"),
    ("reserved_normal", "20", "21"),
    ("reserved_low", "0", "1"),
    ("reserved_bulk", "0", "1"),
    ("shared", "15", "16"),
    ("max_wait_critical", "5s", "0s"),
    ("max_wait_high", "2s", "0s"),
    ("max_wait_normal", "1s", "0s"),
    ("max_wait_low", "500ms", "0s"),
    ("max_wait_bulk", "100ms", "0s"),
    ("custom_wait", "1s", "10m"),
    ("capacity", "1000", "0"),
    ("displace", "oldest", "newest"),
    ("discipline", "strict", "weighted"),
    ("newest_first_after", "off", "1ms"),
    ("ageing", "true", "false"),
    ("min_priority", "0", "100"),
    ("critical_open_limit", "1", "50"),
];

fn value_of(written: &str) -> Value {
    match (written.parse(), written.parse()) {
        (Ok(number), _) => Value::Int(number),
        (_, Ok(flag)) => Value::Bool(flag),
        _ => text(written),
    }
}

// S-PRIO-01, S-PRIO-02, S-PRIO-03
#[test]
fn the_documented_defaults_are_the_defaults() {
    let defaults = FIELDS.map(|(field, default, _)| (field, value_of(default)));
    assert_eq!(QueueConfig::from_value(&table(&defaults)), Ok(QueueConfig::new()));
    for (field, _, other) in FIELDS {
        let read = QueueConfig::from_value(&table(&[(field, value_of(other))])).expect(field);
        assert_ne!(read, QueueConfig::new(), "{field}");
    }
}

// S-PRIO-01, S-PRIO-02, S-PRIO-08
#[cfg(feature = "serde")]
#[test]
fn every_field_is_read_from_a_file() {
    use portcullis_priority::{Class, Discipline, Displace};

    let file = r#"
        name = "search"
        reserved_critical = 1
        reserved_high = 2
        reserved_normal = 3
        reserved_low = 4
        reserved_bulk = 6
        shared = 7
        max_wait_critical = "10m"
        max_wait_high = "200ms"
        max_wait_normal = "0.3s"
        max_wait_low = "400ms"
        max_wait_bulk = "0s"
        custom_wait = "1.5s"
        capacity = 0
        displace = "newest"
        discipline = "weighted"
        newest_first_after = "250ms"
        ageing = false
        min_priority = "low"
        critical_open_limit = 23
    "#;
    let ms = std::time::Duration::from_millis;
    let expected = QueueConfig::new()
        .named("search")
        .reserved(Class::Critical, 1)
        .reserved(Class::High, 2)
        .reserved(Class::Normal, 3)
        .reserved(Class::Low, 4)
        .reserved(Class::Bulk, 6)
        .shared(7)
        .max_wait(Class::Critical, ms(600_000))
        .max_wait(Class::High, ms(200))
        .max_wait(Class::Normal, ms(300))
        .max_wait(Class::Low, ms(400))
        .max_wait(Class::Bulk, ms(0))
        .custom_wait(ms(1_500))
        .capacity(0)
        .displace(Displace::Newest)
        .discipline(Discipline::Weighted)
        .newest_first_after(ms(250))
        .ageing(false)
        .min_priority(Priority::LOW)
        .critical_open_limit(23);
    assert_eq!(toml::from_str::<QueueConfig>(file), Ok(expected));
    let json = serde_json::json!({ "shared": 0, "min_priority": "NORMAL" });
    let read = serde_json::from_value::<QueueConfig>(json).expect("a good table");
    assert_eq!(read, QueueConfig::new().shared(0).min_priority(Priority::NORMAL));
    let wrong = toml::from_str::<QueueConfig>("shared = -1").expect_err("a wrong table");
    assert!(wrong.to_string().contains("shared = -1: must be"), "{wrong}");
}

// S-PRIO-01
#[test]
fn the_least_priority_is_a_level_or_its_name() {
    for (value, level) in [
        (int(0), 0),
        (int(60), 60),
        (int(100), 100),
        (text("60"), 60),
        (text("critical"), 100),
        (text("High"), 75),
    ] {
        let read = QueueConfig::from_value(&table(&[("min_priority", value)]));
        assert_eq!(read, Ok(QueueConfig::new().min_priority(Priority::new(level))));
    }
}

// S-PRIO-01, S-PRIO-02, S-PRIO-08: zero and absurd values, each with its field, the range, the fix.
#[test]
fn everything_that_is_wrong_is_named() {
    const LEVELS: &str = "must be a number in 0..=100, or one of critical, high, normal, low, bulk";
    for (field, value, said) in [
        ("name", text(""), "name = \"\": must be a text of 1..=63 bytes"),
        ("name", text(&"x".repeat(64)), "must be a text of 1..=63 bytes"),
        ("reserved_low", int(-1), "reserved_low = -1: must be a whole number in 0..=1000000"),
        ("reserved_critical", int(1_000_001), "reserved_critical = 1000001: must be"),
        ("reserved_high", Value::Float(1.0), "reserved_high = 1.0: must be a whole number"),
        ("reserved_bulk", text("1"), "reserved_bulk = \"1\": must be a whole number"),
        ("shared", int(1_000_001), "shared = 1000001: must be a whole number in 0..=1000000"),
        ("shared", int(1_000_000), "shared = 1000000: must be at most 1000000 slots in all"),
        ("shared", int(0), "reserved_bulk = 0: must be a slot that the class can take"),
        ("max_wait_low", text("11m"), "max_wait_low = \"11m\": must be a duration in 0ns..=600s"),
        ("max_wait_bulk", text("36500d"), "max_wait_bulk = \"36500d\": must be a duration"),
        ("max_wait_high", int(5), "write a text with a unit such as \"250ms\""),
        ("max_wait_normal", text("-1s"), "max_wait_normal = \"-1s\": must be"),
        ("max_wait_critical", text("off"), "max_wait_critical = \"off\": must be"),
        ("custom_wait", text("5000"), "custom_wait = \"5000\": must be"),
        ("capacity", int(1_000_001), "capacity = 1000001: must be a whole number in 0..=1000000"),
        ("displace", text("eldest"), "displace = \"eldest\": must be one of oldest, newest"),
        ("discipline", Value::Null, "discipline = null: must be one of strict, weighted"),
        ("newest_first_after", text("0s"), "newest_first_after = \"0s\": must be a duration"),
        ("newest_first_after", Value::Bool(false), "a duration in 1ms..=600s"),
        ("newest_first_after", text("1d"), "newest_first_after = \"1d\": must be"),
        ("ageing", int(1), "ageing = 1: must be true or false"),
        ("min_priority", int(101), LEVELS),
        ("min_priority", int(-1), LEVELS),
        ("min_priority", text("urgent"), LEVELS),
        ("min_priority", Value::Float(50.0), LEVELS),
        ("critical_open_limit", int(51), "critical_open_limit = 51: must be at most the slots"),
        ("critical_open_limit", int(-1), "critical_open_limit = -1: must be a whole number"),
        ("reserved_lo", int(5), "reserved_lo = 5: must be a known field; did you mean"),
        ("slots", int(5), "slots = 5: must be a known field"),
    ] {
        let errors = QueueConfig::from_value(&table(&[(field, value)])).expect_err(field);
        let errors = errors.to_string();
        assert!(errors.contains(said), "{errors}\nwithout {said:?}");
        assert!(errors.starts_with("1 problem(s)"), "{errors}");
    }
}

// S-PRIO-03: a call of an admitted class that can take no slot would wait for nothing.
#[test]
fn a_class_without_a_slot_is_named_by_its_field() {
    let none = ("shared", int(0));
    let below = |least: &str| [none.clone(), ("min_priority", text(least))];
    assert!(QueueConfig::from_value(&table(&below("normal"))).is_ok());
    assert_eq!(wrong_paths(&below("low")), ["reserved_low"]);
    let all_take_it = [none.clone(), ("reserved_bulk", int(1))];
    assert!(QueueConfig::from_value(&table(&all_take_it)).is_ok());
}

#[test]
fn all_problems_are_named_at_once_and_none_twice() {
    let wrong = [
        ("hello", int(1)),
        ("min_priority", text("urgent")),
        ("shared", int(-1)),
        ("reserved_high", text("ten")),
        ("capacity", int(-1)),
        ("newest_first_after", text("soon")),
    ];
    let mut fields = wrong.each_ref().map(|(field, _)| *field);
    fields.sort_unstable();
    assert_eq!(wrong_paths(&wrong), fields);
    let twice = [("min_priority", int(5)), ("min_priority", int(6)), ("ageing", int(7))];
    assert_eq!(wrong_paths(&twice), ["ageing", "min_priority"]);
    assert!(QueueConfig::from_value(&int(5)).is_err());
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Int(number.into())),
        (0_i128..2_000).prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        "[0-9]{1,3}(ms|s|m|h|d)|off|oldest|weighted|low|[a-z]{0,3}".prop_map(Value::Text),
    ]
}

proptest! {
    #[test]
    fn whatever_is_written_is_refused_or_fits_together(
        fields in proptest::collection::vec(
            (proptest::sample::select(FIELDS.map(|(field, _, _)| field).to_vec()), value()),
            0..6,
        ),
    ) {
        if let Ok(config) = QueueConfig::from_value(&table(&fields)) {
            assert!(config.check().is_ok());
        }
    }
}

#[test]
fn limits_codel_and_throttle_are_read_with_what_belongs_to_them() {
    let second = Duration::from_secs(1);
    for (word, limit) in [
        ("deadline", Limit::deadline(second)),
        ("gradient2", Limit::gradient2()),
        ("vegas", Limit::vegas()),
        ("aimd", Limit::aimd(second)),
        ("service_time", Limit::service_time()),
    ] {
        let read = QueueConfig::from_value(&table(&[("limit", text(word))])).unwrap();
        assert_eq!(read, QueueConfig::new().limit(limit), "{word}");
    }
    let all = table(&[
        ("limit", text("deadline")),
        ("limit_timeout", text("300ms")),
        ("limit_start", int(7)),
        ("limit_min", int(3)),
        ("limit_max", int(40)),
        ("codel", Value::Bool(true)),
        ("codel_target", text("10ms")),
        ("codel_interval", text("200ms")),
        ("throttle", Value::Float(1.5)),
        ("throttle_window", text("30s")),
        ("throttle_max_share", Value::Float(0.9)),
    ]);
    let ms = Duration::from_millis;
    let expected = QueueConfig::new()
        .limit(Limit::deadline(ms(300)).start(7).min(3).max(40))
        .codel(Codel::new().target(ms(10)).interval(ms(200)))
        .throttle(Throttle::sre(1.5).window(ms(30_000)).max_share(Percent::new(90)));
    assert_eq!(QueueConfig::from_value(&all), Ok(expected));
    let off = table(&[("limit", text("off")), ("throttle", text("off")), ("limit_max", int(9))]);
    assert_eq!(QueueConfig::from_value(&off), Ok(QueueConfig::new()));
}

#[test]
fn what_is_wrong_with_limits_codel_and_throttle_is_named() {
    for (field, value) in [
        ("limit", text("fast")),
        ("limit_timeout", text("0s")),
        ("limit_start", int(0)),
        ("limit_max", int(9)),
        ("codel", text("yes")),
        ("codel_target", text("0ms")),
        ("codel_interval", text("11m")),
        ("throttle", Value::Float(0.5)),
        ("throttle", text("on")),
        ("throttle_window", text("1ms")),
        ("throttle_max_share", Value::Float(f64::NAN)),
    ] {
        assert_eq!(wrong_paths(&[(field, value)]), [field]);
    }
    let crossed = [("limit", text("vegas")), ("limit_min", int(9)), ("limit_max", int(4))];
    assert_eq!(wrong_paths(&crossed), ["limit_min"]);
    let alone = [("limit", text("vegas")), ("shared", int(0)), ("reserved_bulk", int(1))];
    assert_eq!(wrong_paths(&alone), ["shared"]);
}

/// One whose quarter, in nanoseconds, would not fit into 64 bits.
#[test]
#[should_panic(expected = "a timeout is at most 2,400 s")]
fn a_timeout_of_a_thousand_years_is_refused() {
    let _ = QueueConfig::adaptive(Duration::from_secs(73_786_976_295));
}
