//! What the caller of a call gets that took too long: [`Auto`], [`ProblemJson`], [`GrpcStatus`].
//!
//! The request is gone by then, so a byte of it is kept; a problem has no `instance` therefore.

use std::convert::Infallible;

use breaker_core::{Expire, Rejected};
use http::{Request, Response};

use crate::{Auto, BoxError, Dialect, GrpcStatus, ProblemJson};

#[diagnostic::do_not_recommend]
impl<B1, B2> Expire<Request<B1>, Response<B2>, Infallible> for Auto
where
    B2: Default + 'static,
{
    type Note = Dialect;

    fn note(&self, request: &Request<B1>) -> Dialect {
        Dialect::of(request.headers())
    }

    fn expire(&self, note: Dialect, rejected: Rejected) -> Result<Response<B2>, Infallible> {
        Ok(self.answer(note, None, rejected))
    }
}

#[diagnostic::do_not_recommend]
impl<Req, Res> Expire<Req, Res, BoxError> for Auto {
    type Note = ();

    #[inline]
    fn note(&self, _: &Req) {}

    fn expire(&self, (): (), rejected: Rejected) -> Result<Res, BoxError> {
        Err(rejected.into())
    }
}

impl<B1, B2, E> Expire<Request<B1>, Response<B2>, E> for ProblemJson
where
    B2: Default + 'static,
{
    type Note = ();

    #[inline]
    fn note(&self, _: &Request<B1>) {}

    fn expire(&self, (): (), rejected: Rejected) -> Result<Response<B2>, E> {
        Ok(self.answer(None, rejected))
    }
}

impl<B1, B2, E> Expire<Request<B1>, Response<B2>, E> for GrpcStatus
where
    B2: Default + 'static,
{
    type Note = Dialect;

    fn note(&self, request: &Request<B1>) -> Dialect {
        Dialect::of(request.headers())
    }

    fn expire(&self, note: Dialect, rejected: Rejected) -> Result<Response<B2>, E> {
        Ok(self.answer(note, rejected))
    }
}
