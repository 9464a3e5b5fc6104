//! One way to make calls, many times over.

use std::fmt;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use http_body::Body;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service;

use crate::service::{call, call_later};

/// One way to make calls. What it needs is made when it is first run, not before.
pub struct Case {
    pub(crate) who: &'static str,
    pub(crate) name: &'static str,
    /// The calls of one batch, where more would change what is measured.
    pub(crate) batch: Option<u64>,
    /// Whether two threads may run it at a time.
    pub(crate) shared: bool,
    /// How many calls it takes until their instructions outweigh what varies in the making.
    pub(crate) counted: u64,
    make: Box<dyn Fn() -> Live>,
}

/// A case that can be run.
pub struct Live {
    /// Puts the case into its place again, before each batch.
    pub(crate) prepare: Option<Box<dyn Fn() + Send + Sync>>,
    /// Makes so many calls.
    pub(crate) run: Box<dyn Fn(u64) + Send + Sync>,
}

impl Case {
    /// A case of `who`, called `name`: every name stands once for each `who`.
    pub fn new(who: &'static str, name: &'static str, make: impl Fn() -> Live + 'static) -> Self {
        Self { who, name, batch: None, shared: true, counted: 2_000, make: Box::new(make) }
    }

    /// With batches of exactly so many calls.
    #[must_use]
    pub const fn in_batches_of(mut self, calls: u64) -> Self {
        self.batch = Some(calls);
        self
    }

    /// On one thread only.
    #[must_use]
    pub const fn alone(mut self) -> Self {
        self.shared = false;
        self
    }

    /// With so many calls under callgrind, where making the case costs now more, now less.
    #[must_use]
    pub const fn counted_over(mut self, calls: u64) -> Self {
        self.counted = calls;
        self
    }

    pub(crate) fn live(&self) -> Live {
        (self.make)()
    }

    pub(crate) fn label(&self) -> String {
        format!("{}: {}", self.who, self.name)
    }
}

impl Live {
    /// What makes so many calls.
    pub fn new(run: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { prepare: None, run: Box::new(run) }
    }

    /// With something to be done before each batch, which is not measured.
    #[must_use]
    pub fn prepared_by(mut self, prepare: impl Fn() + Send + Sync + 'static) -> Self {
        self.prepare = Some(Box::new(prepare));
        self
    }

    /// The same, while somebody holds a handle: of one layer there are several services as a rule, and
    /// of some layers one that is alone counts a reference for each call.
    #[must_use]
    pub fn beside(self, handle: impl Send + Sync + 'static) -> Self {
        let Self { prepare, run } = self;
        let run = Box::new(move |calls| {
            let _held = &handle;
            run(calls);
        });
        Self { prepare, run }
    }

    /// The same, within a runtime of tokio: for those who set timers.
    #[must_use]
    pub fn within(self, runtime: Runtime) -> Self {
        let Self { prepare, run } = self;
        let run = Box::new(move |calls| {
            let _entered = runtime.enter();
            run(calls);
        });
        Self { prepare, run }
    }

    pub(crate) fn prepare(&self) {
        if let Some(prepare) = &self.prepare {
            prepare();
        }
    }
}

/// How calls are polled: once, or until they are done.
pub trait Style {
    /// One whole call.
    fn call<S: Service<bool>>(service: &mut S, fail: bool)
    -> Option<Result<S::Response, S::Error>>;
}

/// For services that answer at the first poll: what follows it is no part of the figure.
#[derive(Clone, Copy, Debug)]
pub struct Once;

/// For services that answer later, or that may have to wait for another thread.
#[derive(Clone, Copy, Debug)]
pub struct UntilDone;

impl Style for Once {
    #[inline]
    fn call<S: Service<bool>>(
        service: &mut S,
        fail: bool,
    ) -> Option<Result<S::Response, S::Error>> {
        call(service, fail)
    }
}

impl Style for UntilDone {
    #[inline]
    fn call<S: Service<bool>>(
        service: &mut S,
        fail: bool,
    ) -> Option<Result<S::Response, S::Error>> {
        call_later(service, fail)
    }
}

/// All calls go through one instance of the service; each thread has its own clone.
pub fn reused<P: Style, S>(service: S) -> Live
where
    S: Service<bool> + Clone + Send + 'static,
{
    by_clones_of(service, |mut service, calls| {
        for _ in 0..calls {
            black_box(&P::call(black_box(&mut service), black_box(false)));
        }
    })
}

/// As [`reused`], and every `every`th call fails.
pub fn failing<P: Style, S>(service: S, every: u64) -> Live
where
    S: Service<bool> + Clone + Send + 'static,
{
    by_clones_of(service, move |mut service, calls| {
        let mut good = every;
        for _ in 0..calls {
            good -= 1;
            let fail = good == 0;
            if fail {
                good = every;
            }
            black_box(&P::call(black_box(&mut service), black_box(fail)));
        }
    })
}

/// The service is cloned for each call, as axum does it.
pub fn cloned<P: Style, S>(service: S) -> Live
where
    S: Service<bool> + Clone + Send + 'static,
{
    by_clones_of(service, |service, calls| {
        for _ in 0..calls {
            let mut clone = black_box(&service).clone();
            black_box(&P::call(black_box(&mut clone), black_box(false)));
        }
    })
}

/// Requests of HTTP, each built for its call and sent through a clone of the service, as axum does
/// it; the body of the answer is read to its end.
pub fn requested<S, B>(service: S) -> Live
where
    S: Service<Request<()>, Response = Response<B>> + Clone + Send + 'static,
    B: Body,
{
    by_clones_of(service, |service, calls| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..calls {
            let mut clone = black_box(&service).clone();
            let ready = clone.poll_ready(&mut cx).is_ready();
            let mut answer = pin!(clone.call(black_box(Request::new(()))));
            let Poll::Ready(Ok(answer)) = answer.as_mut().poll(&mut cx) else {
                panic!("it is {ready} that the service is ready, and it answers at once");
            };
            let mut body = pin!(answer.into_body());
            while !body.is_end_stream() {
                let Poll::Ready(Some(_)) = body.as_mut().poll_frame(&mut cx) else { break };
            }
        }
    })
}

/// Calls that wait for the one before them, where there is one slot: what is counted is a call that
/// waits, gets the slot from the call that ends, and runs. The service answers at the second poll,
/// and is cloned for each call.
pub fn handed_over<S>(service: S) -> Live
where
    S: Service<bool> + Clone + Send + 'static,
{
    async fn whole<S: Service<bool>>(mut service: S) -> bool {
        poll_fn(|cx| service.poll_ready(cx)).await.is_ok() && service.call(false).await.is_ok()
    }
    by_clones_of(service, |service, calls| {
        let begin = || Some(whole(black_box(&service).clone()));
        let (mut runs, mut waits) = (pin!(begin()), pin!(None));
        assert_eq!(polled(&mut runs), None, "it runs");
        for _ in 0..calls {
            waits.set(begin());
            assert_eq!(polled(&mut waits), None, "it waits");
            assert_eq!(polled(&mut runs), Some(true), "it has ended");
            runs.set(None);
            assert_eq!(polled(&mut waits), None, "it runs");
            std::mem::swap(&mut runs, &mut waits);
        }
    })
    .within(runtime())
}

/// A runtime for timers: nothing else runs in it.
#[must_use]
pub fn runtime() -> Runtime {
    let built = Builder::new_current_thread().enable_time().build();
    built.unwrap_or_else(|problem| panic!("{problem}"))
}

fn polled<F: Future>(future: &mut Pin<&mut Option<F>>) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match future.as_mut().as_pin_mut()?.poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn by_clones_of<S>(service: S, run: impl Fn(S, u64) + Send + Sync + 'static) -> Live
where
    S: Clone + Send + 'static,
{
    let shared = Mutex::new(service);
    Live::new(move |calls| {
        let own = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        run(own, calls);
    })
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.label()).finish()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}
