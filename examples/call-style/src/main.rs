//! The circuit without Tower: around a future, around a closure, and as a permit in your hands.

use std::io;
use std::net::SocketAddr;

use portcullis::{CallError, CircuitBreaker, CircuitBreakerConfig, FailureKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CONFIG: CircuitBreakerConfig = CircuitBreakerConfig::new().named("oracle");

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}

async fn run() -> io::Result<Vec<String>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(oracle(listener));
    let breaker = CircuitBreaker::new(CONFIG);
    let mut story = Vec::new();

    // `run` takes a future. Five failures in a row open the circuit: the sixth call is not made.
    for _ in 0..6 {
        story.push(match breaker.run(ask(address)).await {
            Ok(answer) => format!("run: the answer is {answer}"),
            Err(CallError::Failed(error)) => format!("run: failed, {error}"),
            Err(CallError::Refused(rejected)) => format!("run: {rejected}"),
        });
    }

    // `run_or` has a value ready for who is refused, or fails.
    let answer = breaker.run_or("a guess".to_owned(), ask(address)).await;
    story.push(format!("run_or: the answer is {answer}"));

    // An operator knows that the oracle is well again.
    breaker.reset();
    let answer = breaker.run_or("a guess".to_owned(), ask(address)).await;
    story.push(format!("run_or, after a reset: the answer is {answer}"));

    // `call` takes a closure: no runtime is needed.
    let number = breaker.call(|| answer.parse::<u32>());
    story.push(format!("call: {number:?}"));

    // `try_acquire` gives the permit itself, for what no closure can hold.
    match breaker.try_acquire() {
        Ok(permit) => permit.failure(FailureKind::Timeout),
        Err(rejected) => story.push(format!("try_acquire: {rejected}")),
    }
    story.push(format!("try_acquire: {}", breaker.explain()));
    Ok(story)
}

/// A call: an empty answer is an error.
async fn ask(oracle: SocketAddr) -> io::Result<String> {
    let mut answer = String::new();
    TcpStream::connect(oracle).await?.read_to_string(&mut answer).await?;
    if answer.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

/// Hangs up on the first five callers, and answers all others.
async fn oracle(listener: TcpListener) -> io::Result<()> {
    for _ in 0..5 {
        drop(listener.accept().await?);
    }
    loop {
        listener.accept().await?.0.write_all(b"42").await?;
    }
}

#[cfg(test)]
mod tests {
    // S-CORE-12: futures, closures, fallbacks and permits, without Tower.
    #[tokio::test]
    async fn the_story_is_as_the_readme_tells_it() {
        let story = super::run().await.expect("a loopback");
        assert!(story[..5].iter().all(|line| line.starts_with("run: failed")), "{story:#?}");
        let refused = "run: call refused by oracle: the circuit is open, \
                       because 5 calls in a row failed; try again in ";
        assert!(story[5].starts_with(refused), "{story:#?}");
        assert_eq!(
            story[6..],
            [
                "run_or: the answer is a guess",
                "run_or, after a reset: the answer is 42",
                "call: Ok(42)",
                "try_acquire: oracle is closed: 1 of 5 failures in a row",
            ]
        );
    }
}
