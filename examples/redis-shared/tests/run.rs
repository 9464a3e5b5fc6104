//! The program as its users run it.

use std::process::{Command, Output};

fn example() -> Command {
    let mut example = Command::new(env!("CARGO_BIN_EXE_redis-shared"));
    example.env_remove("REDIS_URL");
    example
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// The numbers of a line that begins so, with or without units.
fn numbers(text: &str, beginning: &str) -> Vec<u64> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(beginning));
    let words = line.unwrap_or_default().split(|letter: char| !letter.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

// S-RATE-10
#[test]
fn two_processes_share_one_quota_and_go_on_without_the_store() {
    let output = example().output().expect("it runs");
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let (shared, alone) = text.split_once("The store is killed").expect("two parts");
    for part in [shared, alone] {
        let [one, other] = ["process 1: ", "process 2: "].map(|process| numbers(part, process));
        assert!(one[0] > 0 && other[0] > 0, "both admit some: {text}");
        let together = numbers(part, "together: ");
        assert_eq!(together[0], one[0] + other[0], "{text}");
        assert!(together[0] <= together[1], "{text}");
        // The quota is used up, and not twice: alone, each would have had all of it.
        assert!(together[0] >= 60, "{text}");
    }
    // One for each call that there may be again, at most: who is refused does not reach the store.
    let trips = numbers(shared, "process 1: ")[3];
    assert!(trips > 0 && trips <= numbers(shared, "together: ")[1], "{text}");
    assert!(alone.contains("/pay (fail_closed): 503 Service Unavailable (come back in 1 s)"));
    assert!(alone.contains("/help (fail_open): 200 OK"), "{text}");
}

#[test]
fn where_it_cannot_run_it_says_why() {
    // Nobody listens there.
    let output = example().env("REDIS_URL", "redis://127.0.0.1:1/").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("no Redis server answers at redis://127.0.0.1:1/"));
    let output = example().arg("--help").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("takes no arguments"));
}
