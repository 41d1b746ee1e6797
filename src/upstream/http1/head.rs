//! The head of an answer out of the bytes that came.

use super::framing::{Framing, Malformed};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use httparse::{ParserConfig, Response, Status};
use pingora::http::ResponseHeader;
use std::mem::MaybeUninit;
use std::time::Duration;

const MOST_HEADERS: usize = 256;
/// Nobody says more than this before the answer itself.
pub const LONGEST: usize = 256 * 1024;
/// A head up to this size is read whenever more of it comes, so that what is none is known at once;
/// a longer one when its end is there, lest it be read again for every byte.
const READ_EARLY: usize = 4 * 1024;

#[derive(Debug)]
pub struct Head {
    pub response: ResponseHeader,
    pub framing: Framing,
    /// None: the connection serves no other request.
    pub keeps: Option<Keeps>,
}

/// How long a connection may wait for its next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    Unsaid,
    For(Duration),
}

/// Takes the head off the front of the buffer. None: not all of it has come.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Head>, Malformed> {
    if (READ_EARLY..=LONGEST).contains(&buffer.len()) && !has_end(buffer) {
        return Ok(None);
    }
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = Response::new(&mut []);
    // What servers have always got away with.
    let mut parser = ParserConfig::default();
    parser.allow_spaces_after_header_name_in_responses(true);
    parser.allow_obsolete_multiline_headers_in_responses(true);
    let length = match parser.parse_response_with_uninit_headers(&mut parsed, buffer, &mut headers)
    {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if buffer.len() > LONGEST => {
            return Err(Malformed("a head without an end"));
        }
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Malformed("an answer that is not HTTP")),
    };
    let version = match parsed.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let status = parsed.code.unwrap_or_default();
    let spans: Vec<(HeaderName, std::ops::Range<usize>)> = {
        let start = buffer.as_ptr() as usize;
        let named = |header: &httparse::Header<'_>| {
            let name = HeaderName::from_bytes(header.name.as_bytes());
            let from = (header.value.as_ptr() as usize).saturating_sub(start);
            let name = name.map_err(|_| Malformed("a header without a name"))?;
            Ok((name, from..from + header.value.len()))
        };
        parsed.headers.iter().map(named).collect::<Result<_, _>>()?
    };
    // A copy: the values of a short head must not hold a whole buffer for as long as they live.
    let raw = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
    buffer.advance(length);
    let status = StatusCode::from_u16(status).map_err(|_| Malformed("a status out of range"))?;
    let mut response = ResponseHeader::build_no_case(status, Some(spans.len()))
        .map_err(|_| Malformed("a status out of range"))?;
    response.set_version(version);
    for (name, span) in spans {
        let value = value(&raw, span)?;
        response
            .append_header(name, value)
            .map_err(|_| Malformed("more headers than can be held"))?;
    }
    let framing = framing(&response)?;
    Ok(Some(Head {
        keeps: keeps(&response, framing),
        framing,
        response,
    }))
}

/// Whether there is an empty line behind others.
fn has_end(buffer: &[u8]) -> bool {
    let lines = buffer.trim_ascii_start();
    let has = |end: &[u8]| memchr::memmem::find(lines, end).is_some();
    has(b"\n\r\n") || has(b"\n\n")
}

fn value(raw: &Bytes, span: std::ops::Range<usize>) -> Result<HeaderValue, Malformed> {
    const MALFORMED: Malformed = Malformed("a header whose value is none");
    let malformed = |_| MALFORMED;
    let bytes = raw.get(span.clone()).ok_or(MALFORMED)?;
    if memchr::memchr2(b'\r', b'\n', bytes).is_none() {
        return HeaderValue::from_maybe_shared(raw.slice(span)).map_err(malformed);
    }
    // Folded over several lines.
    let unfolded: Vec<u8> = bytes
        .iter()
        .map(|&byte| match byte {
            b'\r' | b'\n' => b' ',
            other => other,
        })
        .collect();
    HeaderValue::from_bytes(&unfolded).map_err(malformed)
}

fn framing(response: &ResponseHeader) -> Result<Framing, Malformed> {
    let headers = &response.headers;
    if response.status.is_informational() || matches!(response.status.as_u16(), 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return transfer(headers);
    }
    let mut lengths = tokens(headers, &header::CONTENT_LENGTH);
    let Some(length) = lengths.next() else {
        return Ok(Framing::Close);
    };
    if lengths.any(|other| other != length) {
        return Err(Malformed("an answer of two lengths"));
    }
    let digits = std::str::from_utf8(length).ok();
    let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match number.and_then(|digits| digits.parse().ok()) {
        Some(length) => Ok(Framing::Length(length)),
        None => Err(Malformed("an answer whose length is no number")),
    }
}

/// `chunked` alone frames a body; what else there may be would have to be undone.
fn transfer(headers: &HeaderMap) -> Result<Framing, Malformed> {
    let mut framing = Framing::Close;
    for coding in tokens(headers, &header::TRANSFER_ENCODING) {
        if framing == Framing::Chunked {
            return Err(Malformed("an answer in chunks of something else"));
        }
        if coding.eq_ignore_ascii_case(b"chunked") {
            framing = Framing::Chunked;
        } else if !coding.eq_ignore_ascii_case(b"identity") {
            return Err(Malformed("a transfer coding that nobody asked for"));
        }
    }
    Ok(framing)
}

fn keeps(response: &ResponseHeader, framing: Framing) -> Option<Keeps> {
    let headers = &response.headers;
    let says = |word: &[u8]| {
        tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case(word))
    };
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    // Who says both may mean either: what follows is not to be trusted.
    let doubtful = chunked && headers.contains_key(header::CONTENT_LENGTH);
    let lasts = match response.version {
        Version::HTTP_10 => says(b"keep-alive") && !chunked,
        _ => !says(b"close") && !doubtful,
    };
    if !lasts || framing == Framing::Close || response.status == StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    let timeout = tokens(headers, &KEEP_ALIVE)
        .filter_map(|token| std::str::from_utf8(token).ok()?.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
        .and_then(|(_, seconds)| seconds.trim().parse().ok());
    Some(timeout.map_or(Keeps::Unsaid, |seconds| {
        Keeps::For(Duration::from_secs(seconds))
    }))
}

/// The words of a list, over all headers of the name.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(wire: &str) -> Result<Option<Head>, Malformed> {
        let mut buffer = BytesMut::from(wire.as_bytes());
        let head = take(&mut buffer)?;
        if head.is_some() {
            assert_eq!(&buffer[..], b"rest");
        }
        Ok(head)
    }

    fn head(lines: &str) -> Head {
        let wire = format!("HTTP/1.1 200 OK\r\n{lines}\r\nrest");
        taken(&wire).unwrap().unwrap()
    }

    fn refusal(lines: &str) -> &'static str {
        let wire = format!("HTTP/1.1 200 OK\r\n{lines}\r\nrest");
        taken(&wire).unwrap_err().0
    }

    #[test]
    fn every_header_is_there_as_it_was_sent() {
        let head = head("Content-Type:  a/b \r\nX-A: one\r\nx-a: é\r\nX-Empty:\r\n");
        assert_eq!(head.response.status, 200);
        assert_eq!(head.response.headers["content-type"], "a/b");
        let twice: Vec<_> = head.response.headers.get_all("x-a").iter().collect();
        assert_eq!(twice[0], "one");
        assert_eq!(twice[1].as_bytes(), "é".as_bytes());
        assert_eq!(head.response.headers["x-empty"], "");
    }

    #[test]
    fn folded_lines_become_one() {
        let head = head("X-A: one\r\n two\r\n");
        let value = head.response.headers["x-a"].to_str().unwrap();
        let words: Vec<&str> = value.split_whitespace().collect();
        assert_eq!(words, ["one", "two"]);
    }

    #[test]
    fn half_a_head_is_none_yet() {
        let wire = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nrest";
        for end in 0..wire.len() - 4 {
            let mut buffer = BytesMut::from(&wire.as_bytes()[..end]);
            assert!(take(&mut buffer).unwrap().is_none(), "{end}");
            assert_eq!(buffer.len(), end, "nothing is lost");
        }
    }

    #[test]
    fn so_is_half_a_long_head() {
        let long = "X-A: y\r\n".repeat(200) + &format!("X-B: {}\r\n", "z".repeat(9000));
        for (line, empty) in [("\r\n", "\r\n"), ("\n", "\n"), ("\n", "\r\n")] {
            let lines = format!("\r\n\r\nHTTP/1.1 200 OK\r\n{long}").replace("\r\n", line);
            let wire = lines + empty + "rest";
            for end in (0..wire.len() - 4).rev().step_by(61) {
                let mut buffer = BytesMut::from(&wire.as_bytes()[..end]);
                assert!(take(&mut buffer).unwrap().is_none(), "{end}");
                assert_eq!(buffer.len(), end, "nothing is lost");
            }
            let head = taken(&wire).unwrap().unwrap();
            assert_eq!(head.response.headers["x-b"].len(), 9000);
        }
    }

    #[test]
    fn the_body_is_framed_by_what_the_head_says() {
        let framing = |lines: &str| head(lines).framing;
        assert_eq!(framing("Content-Length: 12\r\n"), Framing::Length(12));
        assert_eq!(framing("Content-Length: 12, 12\r\n"), Framing::Length(12));
        assert_eq!(
            framing("Content-Length: 12\r\nContent-Length: 12\r\n"),
            Framing::Length(12)
        );
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Framing::Chunked);
        assert_eq!(
            framing("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
            Framing::Chunked
        );
        assert_eq!(framing("Transfer-Encoding: identity\r\n"), Framing::Close);
        assert_eq!(framing(""), Framing::Close);
        let none = taken("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nrest");
        assert_eq!(none.unwrap().unwrap().framing, Framing::Length(0));
    }

    #[test]
    fn what_could_end_in_two_places_is_refused() {
        assert_eq!(
            refusal("Content-Length: 1\r\nContent-Length: 2\r\n"),
            "an answer of two lengths"
        );
        for length in ["-1", "+1", "", "1 2", "0x1", "99999999999999999999"] {
            assert_eq!(
                refusal(&format!("Content-Length: {length}\r\n")),
                "an answer whose length is no number"
            );
        }
        assert_eq!(
            refusal("Transfer-Encoding: gzip, chunked\r\n"),
            "a transfer coding that nobody asked for"
        );
        assert_eq!(
            refusal("Transfer-Encoding: chunked, chunked\r\n"),
            "an answer in chunks of something else"
        );
    }

    #[test]
    fn a_connection_is_kept_only_where_its_end_is_sure() {
        let length = "Content-Length: 1\r\n";
        let keeps = |lines: &str| head(&format!("{length}{lines}")).keeps;
        assert_eq!(keeps(""), Some(Keeps::Unsaid));
        assert_eq!(keeps("Connection: Keep-Alive\r\n"), Some(Keeps::Unsaid));
        assert_eq!(keeps("Connection: x, Close\r\n"), None);
        let timeout = keeps("Keep-Alive: max=3, timeout=7\r\n");
        assert_eq!(timeout, Some(Keeps::For(Duration::from_secs(7))));
        assert_eq!(keeps("Transfer-Encoding: chunked\r\n"), None);
        assert_eq!(head("").keeps, None);
        let old = |lines: &str| {
            let wire = format!("HTTP/1.0 200 OK\r\n{length}{lines}\r\nrest");
            taken(&wire).unwrap().unwrap().keeps
        };
        assert_eq!(old(""), None);
        assert_eq!(old("Connection: keep-alive\r\n"), Some(Keeps::Unsaid));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(taken("SSH-2.0-x\r\n\r\nrest").is_err());
        assert!(taken("HTTP/1.1 abc OK\r\n\r\nrest").is_err());
        assert!(taken("HTTP/1.1 099 OK\r\n\r\nrest").is_err());
        assert!(taken("HTTP/2 200\r\n\r\nrest").is_err());
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(LONGEST));
        assert_eq!(taken(&endless).unwrap_err().0, "a head without an end");
        let many = "X: y\r\n".repeat(MOST_HEADERS + 1);
        assert_eq!(refusal(&many), "an answer that is not HTTP");
    }
}
