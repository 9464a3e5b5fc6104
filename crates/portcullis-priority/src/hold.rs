//! How long a call holds its slot: [`Hold`].

use breaker_core::Outcome;
use http::{Method, Request, Response};
use http_body::Body;
use portcullis_http::{Held, JudgedBody};

use crate::slot::Slot;

/// For how long a call holds its slot, once it is answered.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold a slot to the end of the response `{Res}`",
    note = "a slot is held to the end of the body of an `http::Response`; for other services make \
            the layer by its `generic(config)`, or add `.hold_to_head()`"
)]
pub trait Hold<Req, Res> {
    /// The response that the caller gets.
    type Response;

    /// What is kept of the request until it is answered.
    type Note;

    /// Keeps what is needed of a request.
    fn note(&self, request: &Req) -> Self::Note;

    /// Passes an answer on, with the slot for as long as it is held.
    fn answered(&self, note: Self::Note, response: Res, slot: Slot) -> Self::Response;

    /// Passes an answer on that no slot belongs to.
    fn alone(&self, response: Res) -> Self::Response;
}

/// Up to the answer, or its head: types stay as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToHead;

impl<Req, Res> Hold<Req, Res> for ToHead {
    type Response = Res;
    type Note = ();

    #[inline]
    fn note(&self, _: &Req) {}

    #[inline]
    fn answered(&self, (): (), response: Res, slot: Slot) -> Res {
        slot.release();
        response
    }

    #[inline]
    fn alone(&self, response: Res) -> Res {
        response
    }
}

/// Up to the end of the body: a call whose answer is still being sent takes its place.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToEndOfBody;

impl<B1, B2: Body> Hold<Request<B1>, Response<B2>> for ToEndOfBody {
    type Response = Response<JudgedBody<B2, Held<Slot>>>;
    type Note = Method;

    #[inline]
    fn note(&self, request: &Request<B1>) -> Method {
        request.method().clone()
    }

    #[inline]
    fn answered(&self, method: Method, response: Response<B2>, slot: Slot) -> Self::Response {
        JudgedBody::watch(&method, Outcome::Success, response, Held::new(slot))
    }

    #[inline]
    fn alone(&self, response: Response<B2>) -> Self::Response {
        response.map(JudgedBody::unjudged)
    }
}
