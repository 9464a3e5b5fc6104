//! What is held while a call waits, and what comes back.

use std::any::type_name;
use std::sync::Arc;
use std::task::{Context, Waker};

use ninelives::ResilienceError;
use portcullis_backoff::breaker_core::FailureKind;
use portcullis_benches::{Failed, Nothing};
use tower_layer::Layer;
use tower_service::Service;

use crate::support::{Ask, Callee, THRICE, nine, ours, resilience, tower, whole};

/// How many results of attempts are there still while a call waits for its next one.
fn held<S>(layer: impl Layer<Callee<Token, Token>, Service = S>, well: bool) -> usize
where
    S: Service<Ask>,
{
    let token = Token::default();
    let given = token.clone();
    let answer = move |_| if well { Ok(given.clone()) } else { Err(given.clone()) };
    let service = layer.layer(Callee::new(answer));
    // The call holds the service, and with it the token that is cloned for each answer.
    let at_rest = Arc::strong_count(&token.0);
    let mut call = Box::pin(whole(service, Ask::default()));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    Arc::strong_count(&token.0) - at_rest
}

/// A response, or an error, that tells how many of it there are.
#[derive(Clone, Debug, Default)]
struct Token(Arc<()>);

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a token")
    }
}

impl std::error::Error for Token {}

#[tokio::test(start_paused = true)]
async fn an_answer_is_held_while_two_of_them_wait() {
    let all_bad = |_: Result<&Token, &Token>| {
        portcullis_backoff::breaker_core::Outcome::Failure(FailureKind::Unknown)
    };
    assert_eq!(held(ours(THRICE).classify_fn(all_bad), true), 0);
    assert_eq!(held(ours(THRICE), false), 0);
    assert_eq!(held(tower(None), false), 0);
    let repeated = resilience().retry_on_response(|_: &Token| true).build();
    assert_eq!(held(repeated, true), 1);
    assert_eq!(held(resilience().build(), false), 1);
    assert_eq!(held(nine(), false), 1);
}

#[test]
fn the_error_of_the_service_is_kept_by_the_retries_of_three_of_them() {
    fn error<S: Service<bool>>(_: &S) -> &'static str {
        type_name::<S::Error>()
    }
    let inner = Nothing;
    assert_eq!(error(&ours(THRICE).layer(inner)), type_name::<Failed>());
    assert_eq!(error(&tower(None).layer(inner)), type_name::<Failed>());
    assert_eq!(
        error(&resilience::<bool, (), Failed>().build().layer(inner)),
        type_name::<Failed>()
    );
    let wrapped = type_name::<ResilienceError<Failed>>();
    assert_eq!(error(&nine().layer(inner)), wrapped);
}

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_readied_makes_the_first_attempt_of_all_but_one() {
    use crate::common::Strict;
    assert!(whole(ours(THRICE).layer(Strict::default()), true).await.is_ok());
    assert!(whole(tower(None).layer(Strict::default()), true).await.is_ok());
    let layer = resilience::<bool, (), Failed>().build();
    assert!(whole(layer.layer(Strict::default()), true).await.is_ok());
    assert!(whole(nine().layer(Strict::default()), true).await.is_err());
}
