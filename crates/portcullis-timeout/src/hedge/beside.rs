//! What there is beside the first attempt of a call: [`Beside`].

use breaker_core::Outcome;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::attempt::Spare;
use super::watch::Watch;

pin_project! {
    /// What there is beside the first attempt.
    #[project = BesideProj]
    pub(crate) struct Beside<S, K, F, T> {
        #[pin]
        pub(crate) second: Second<S, K, F>,
        pub(crate) watch: Option<Watch>,
        // How the first attempt failed, while the second one is out.
        pub(crate) failure: Option<(T, Option<Outcome>)>,
    }
}

pin_project! {
    /// The second attempt.
    #[project = SecondProj]
    pub(crate) enum Second<S, K, F> {
        // Its delay.
        Timer {
            #[pin]
            sleep: Sleep,
            spare: Option<Spare<S, K>>,
        },
        Out {
            #[pin]
            inner: F,
        },
        // There is none, or none any more.
        Nothing,
    }
}
