//! Puts a text into a body whose type is not known.

use std::any::Any;

use bytes::Bytes;

/// Fills the body if its type is one of those known here; says whether it did.
///
/// axum's body and tonic's share no constructor but `Default`, and the service decides which of
/// them it is: so the type is asked for at run time, on the refused path only.
pub(crate) fn fill<B: 'static>(body: &mut B, text: String) -> bool {
    let body: &mut dyn Any = body;
    if let Some(body) = body.downcast_mut::<String>() {
        *body = text;
    } else if let Some(body) = body.downcast_mut::<Vec<u8>>() {
        *body = text.into();
    } else if let Some(body) = body.downcast_mut::<Bytes>() {
        *body = text.into();
    } else {
        return fill_axum(body, text);
    }
    true
}

#[cfg(feature = "axum")]
fn fill_axum(body: &mut dyn Any, text: String) -> bool {
    let Some(body) = body.downcast_mut::<axum_core::body::Body>() else { return false };
    *body = text.into();
    true
}

#[cfg(not(feature = "axum"))]
fn fill_axum(_: &mut dyn Any, _: String) -> bool {
    false
}
