//! Independent implementations behind one pipe.
//!
//! Nothing here is ours but the pipe: tests/interop asks, and compares with what Quatrefoil says.

mod cose;
mod mldsa;
mod pipe;
mod sealing;

use pipe::{Answer, serve};

fn main() {
    serve(answer);
}

fn answer(command: &str, kind: &str, arguments: &[&[u8]]) -> Answer {
    if let Some(command) = command.strip_prefix("hpke-") {
        return sealing::answer(command, kind, arguments);
    }
    if let Some(command) = command.strip_prefix("cose-") {
        return cose::answer(command, kind, arguments);
    }
    match command.strip_prefix("mldsa-") {
        Some(command) => mldsa::answer(command, kind, arguments),
        None => Err(format!("no command {command}")),
    }
}
