//! Independent implementations behind one pipe: a question a line on standard input, an answer a line on standard output.
//!
//! A question is a command and its arguments in hexadecimal (`-` for none); an answer is `ok HEX` or `error WORDS`.
//! Nothing here is ours but the pipe: tests/interop asks, and compares with what Quatrefoil says.

mod cose;
mod mldsa;
mod sealing;

use std::io::{BufRead, Write, stdin, stdout};

pub type Answer = Result<Vec<u8>, String>;

fn main() {
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let line = line.expect("standard input is text");
        let said = match answer(&line) {
            Ok(bytes) => format!("ok {}", hex::encode(bytes)),
            Err(words) => format!("error {}", words.replace('\n', " ")),
        };
        writeln!(out, "{said}").expect("somebody reads the answers");
        out.flush().expect("somebody reads the answers");
    }
}

fn answer(line: &str) -> Answer {
    let mut words = line.split_whitespace();
    let command = words.next().ok_or("no command")?;
    let kind = words.next().ok_or("no algorithm")?;
    let arguments = words.map(decode).collect::<Result<Vec<_>, _>>()?;
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    if let Some(command) = command.strip_prefix("hpke-") {
        return sealing::answer(command, kind, &arguments);
    }
    if let Some(command) = command.strip_prefix("cose-") {
        return cose::answer(command, kind, &arguments);
    }
    match command.strip_prefix("mldsa-") {
        Some(command) => mldsa::answer(command, kind, &arguments),
        None => Err(format!("no command {command}")),
    }
}

fn decode(word: &str) -> Result<Vec<u8>, String> {
    if word == "-" {
        return Ok(Vec::new());
    }
    hex::decode(word).map_err(|error| error.to_string())
}
