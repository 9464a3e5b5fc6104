//! In which words a caller is answered: [`Dialect`].

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::grpc;

/// In which words a caller is answered, as the content type of the request tells.
///
/// It is a byte, so that it can be kept while the request is on its way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dialect(Kind);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Http,
    Grpc,
    /// By its place in [`WEB`].
    Web(u8),
}

/// gRPC-Web wants its own type back. A format that is not here is left out: the answers that are
/// made here have no message in it.
const WEB: [&str; 6] = [
    "application/grpc-web-text+proto",
    "application/grpc-web-text",
    "application/grpc-web+proto",
    "application/grpc-web+json",
    "application/grpc-web+thrift",
    "application/grpc-web",
];

impl Dialect {
    #[cfg(test)]
    pub(crate) const PLAIN_GRPC: Self = Self(Kind::Grpc);

    /// The dialect of a request with these headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        Self(if !grpc::is_grpc(headers) {
            Kind::Http
        } else if grpc::has_trailers(headers) {
            Kind::Grpc
        } else {
            let said = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
            let starts = |web: &&str| {
                said.get(..web.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(web.as_bytes()))
            };
            Kind::Web((0..).zip(WEB).find(|(_, web)| starts(web)).map_or(5, |(place, _)| place))
        })
    }

    /// Whether it is one of gRPC, gRPC-Web included.
    #[must_use]
    pub const fn is_grpc(self) -> bool {
        !matches!(self.0, Kind::Http)
    }

    /// The content type of a gRPC answer; who asks by HTTP for one gets plain gRPC.
    pub(crate) fn grpc_type(self) -> HeaderValue {
        HeaderValue::from_static(match self.0 {
            Kind::Web(place) => WEB[usize::from(place)],
            Kind::Http | Kind::Grpc => "application/grpc",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_gets_its_own_type_back_and_all_others_are_plain() {
        for (asked, grpc, answered) in [
            ("text/plain", false, "application/grpc"),
            ("application/grpc", true, "application/grpc"),
            ("application/grpc+proto", true, "application/grpc"),
            ("application/grpc-web", true, "application/grpc-web"),
            ("Application/gRPC-Web+Proto", true, "application/grpc-web+proto"),
            ("application/grpc-web+proto; x=y", true, "application/grpc-web+proto"),
            ("application/grpc-web-text", true, "application/grpc-web-text"),
            ("application/grpc-web-text+proto", true, "application/grpc-web-text+proto"),
            ("application/grpc-web+own", true, "application/grpc-web"),
        ] {
            let headers: HeaderMap =
                [(CONTENT_TYPE, HeaderValue::from_static(asked))].into_iter().collect();
            let kind = Dialect::of(&headers);
            assert_eq!(
                (kind.is_grpc(), kind.grpc_type()),
                (grpc, HeaderValue::from_static(answered)),
                "{asked}"
            );
        }
        assert!(!Dialect::of(&HeaderMap::new()).is_grpc());
    }
}
