//! Questions over a pipe: one a line on standard input, and an answer a line on standard output.
//!
//! A question is a command, a kind, and arguments in hexadecimal (`-` for none); an answer is `ok HEX` or `error WORDS`.

use std::io::{BufRead, Write, stdin, stdout};

pub type Answer = Result<Vec<u8>, String>;

/// Until standard input ends: `answer(command, kind, arguments)`.
pub fn serve(answer: impl Fn(&str, &str, &[&[u8]]) -> Answer) {
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let line = line.expect("standard input is text");
        let said = match ask(&line, &answer) {
            Ok(bytes) => format!("ok {}", hex::encode(bytes)),
            Err(words) => format!("error {}", words.replace('\n', " ")),
        };
        writeln!(out, "{said}").expect("somebody reads the answers");
        out.flush().expect("somebody reads the answers");
    }
}

fn ask(line: &str, answer: &impl Fn(&str, &str, &[&[u8]]) -> Answer) -> Answer {
    let mut words = line.split_whitespace();
    let command = words.next().ok_or("no command")?;
    let kind = words.next().ok_or("no kind")?;
    let arguments = words.map(decode).collect::<Result<Vec<_>, _>>()?;
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    answer(command, kind, &arguments)
}

fn decode(word: &str) -> Result<Vec<u8>, String> {
    if word == "-" {
        return Ok(Vec::new());
    }
    hex::decode(word).map_err(|error| error.to_string())
}
