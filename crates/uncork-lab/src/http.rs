//! What web servers are measured with: the [limit](bare) that none of them can beat, the same on
//! [tokio](bare_tokio), and a [load] that costs little itself.

pub mod bare;
pub mod bare_tokio;
pub mod load;
mod replies;
mod request_ends;

/// A response with a body of so many bytes, and the headers that a static server sends; its
/// head has about 300 bytes.
#[must_use]
pub fn response(body_bytes: usize) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 200 OK\r\n\
         Server: uncork-lab\r\n\
         Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Type: text/html; charset=utf-8\r\n\
         Content-Length: {body_bytes}\r\n\
         Last-Modified: Sat, 05 Nov 1994 12:00:00 GMT\r\n\
         ETag: \"2eba7900-17a3c5d2e8f04b61\"\r\n\
         Cache-Control: max-age=3600\r\n\
         Accept-Ranges: bytes\r\n\
         Connection: keep-alive\r\n\
         \r\n"
    )
    .into_bytes();
    response.resize(response.len() + body_bytes, b'b');
    response
}

/// A GET request with the headers that clients of all kinds send.
#[must_use]
pub fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: uncork-lab\r\nAccept: */*\r\n\r\n")
        .into_bytes()
}
