//! Oblivious HTTP (RFC 9458, whole and chunked) of Mozilla's crate `ohttp`, and Binary HTTP (RFC 9292) of `bhttp`.
//!
//! The crate has X-Wing with HKDF-SHA256, and with it AES-128-GCM and ChaCha20-Poly1305 but not AES-256-GCM: AES-128-GCM
//! is what both sides speak here. A client keeps its context from `ask` to `read`, so one of each kind is held.

mod pipe;

use std::cell::RefCell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bhttp::{Message, Mode};
use futures::executor::block_on;
use futures::io::{AllowStdIo, AsyncReadExt, AsyncWriteExt};
use ohttp::hpke::{Aead, Kdf, Kem};
use ohttp::{ClientRequest, ClientResponse, KeyConfig, Server, SymmetricSuite};
use pipe::{Answer, serve};

/// A response is read through a request that is still held: its writer is of no use any more.
type StreamClient = Box<dyn Fn(&[u8]) -> Answer>;

thread_local! {
    static CLIENT: RefCell<Option<ClientResponse>> = const { RefCell::new(None) };
    static STREAM_CLIENT: RefCell<Option<StreamClient>> = const { RefCell::new(None) };
}

/// The crate panics where a key configuration has no suite that it knows.
fn main() {
    serve(|command, kind, arguments| {
        catch_unwind(AssertUnwindSafe(|| answer(command, kind, arguments))).unwrap_or(Err("it panicked".into()))
    });
}

fn answer(command: &str, kind: &str, arguments: &[&[u8]]) -> Answer {
    match (command, kind, arguments) {
        // The key configuration of a gateway whose key comes from a seed.
        ("config", _, [seed]) => config(seed)?.encode().map_err(words),
        // As the gateway: the request that it reads, then the response that it sends, each after its length.
        ("answer", "whole", [seed, sealed, response]) => {
            let (request, context) = Server::new(config(seed)?).map_err(words)?.decapsulate(sealed).map_err(words)?;
            Ok(joined(&request, &context.encapsulate(response).map_err(words)?))
        }
        ("answer", "chunked", [seed, sealed, response]) => chunked_answer(config(seed)?, sealed, response),
        // As the client: an encapsulated request to an encoded key configuration; then the response to it.
        ("ask", "whole", [config, request]) => {
            let client = ClientRequest::from_encoded_config(config).map_err(words)?;
            let (sealed, context) = client.encapsulate(request).map_err(words)?;
            CLIENT.set(Some(context));
            Ok(sealed)
        }
        ("ask", "chunked", [config, request]) => chunked_ask(config, request),
        ("read", "whole", [sealed]) => CLIENT.take().ok_or("nothing was asked")?.decapsulate(sealed).map_err(words),
        ("read", "chunked", [sealed]) => STREAM_CLIENT.take().ok_or("nothing was asked")?(sealed),
        // A binary message, read and written again.
        ("bhttp", mode, [message]) => {
            let message = Message::read_bhttp(&mut Cursor::new(message)).map_err(words)?;
            let mode = if mode == "known" { Mode::KnownLength } else { Mode::IndeterminateLength };
            let mut written = Vec::new();
            message.write_bhttp(mode, &mut written).map_err(words)?;
            Ok(written)
        }
        _ => Err(format!("no command {command} {kind}")),
    }
}

fn config(seed: &[u8]) -> Result<KeyConfig, String> {
    let suite = SymmetricSuite::new(Kdf::HkdfSha256, Aead::Aes128Gcm);
    KeyConfig::derive(1, Kem::XWing, vec![suite], seed).map_err(words)
}

fn chunked_answer(config: KeyConfig, sealed: &[u8], response: &[u8]) -> Answer {
    let mut context = Server::new(config).map_err(words)?.decapsulate_stream(sealed);
    let mut request = Vec::new();
    block_on(context.read_to_end(&mut request)).map_err(words)?;
    let mut sent = AllowStdIo::new(Vec::new());
    let mut writer = context.response(&mut sent).map_err(words)?;
    block_on(writer.write_all(response)).map_err(words)?;
    block_on(writer.close()).map_err(words)?;
    drop(writer);
    Ok(joined(&request, sent.get_ref()))
}

fn chunked_ask(config: &[u8], request: &[u8]) -> Answer {
    let shared = std::rc::Rc::new(RefCell::new(Vec::new()));
    let client = ClientRequest::from_encoded_config(config).map_err(words)?;
    let mut context = client.encapsulate_stream(AllowStdIo::new(Shared(shared.clone()))).map_err(words)?;
    block_on(context.write_all(request)).map_err(words)?;
    block_on(context.close()).map_err(words)?;
    let sealed = shared.take();
    STREAM_CLIENT.set(Some(Box::new(move |sealed| {
        let mut response = Vec::new();
        block_on(context.response(sealed).map_err(words)?.read_to_end(&mut response)).map_err(words)?;
        Ok(response)
    })));
    Ok(sealed)
}

struct Shared(std::rc::Rc<RefCell<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| (part.len() as u64).to_be_bytes();
    [&length(first)[..], first, &length(second)[..], second].concat()
}

fn words(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
