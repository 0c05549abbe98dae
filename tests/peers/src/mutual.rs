//! A server of channels in rustls and AWS-LC that demands a certificate: docs/transport.md, written again.
//!
//!     mutual CERTIFICATE KEY ROOT GROUP PROTOCOL [REVOKED]      all files in PEM
//!
//! The first line on standard output is the port. Then there is one line for each client, after its handshake: `ok GROUP
//! CERTIFICATE` in hexadecimal, or `error WORDS`. Messages are sent back. It runs until it is killed.

use std::env::args;
use std::error::Error;
use std::fs::read;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, version};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = args().skip(1).collect();
    let [certificate, key, root, group, protocol, revoked @ ..] = words.as_slice() else {
        return Err("mutual CERTIFICATE KEY ROOT GROUP PROTOCOL [REVOKED]".into());
    };
    let provider = Arc::new(CryptoProvider { kx_groups: vec![named(group)?], ..default_provider() });
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read(root)?)?)?;
    let lists = revoked.iter().map(|file| Ok(CertificateRevocationListDer::from_pem_slice(&read(file)?)?));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .with_crls(lists.collect::<Outcome<Vec<_>>>()?)
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&read(certificate)?)?],
            PrivateKeyDer::from_pem_slice(&read(key)?)?,
        )?;
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let config = Arc::new(config);

    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        match handshake(stream?, &config) {
            Ok(mut channel) => {
                let connection = &channel.conn;
                let group = connection.negotiated_key_exchange_group().ok_or("no group")?.name();
                let certificate = connection.peer_certificates().and_then(<[_]>::first).ok_or("no certificate")?;
                println!("ok {group:?} {}", hex::encode(certificate));
                let _ = echo(&mut channel); // it ends when the client does
            }
            Err(error) => println!("error {error:?}"),
        }
    }
    Ok(())
}

fn named(group: &str) -> Outcome<&'static dyn SupportedKxGroup> {
    match group {
        "X25519MLKEM768" => Ok(kx_group::X25519MLKEM768),
        "SecP256r1MLKEM768" => Ok(kx_group::SECP256R1MLKEM768),
        "X25519" => Ok(kx_group::X25519),
        _ => Err(format!("no group {group}").into()),
    }
}

fn handshake(mut stream: TcpStream, config: &Arc<ServerConfig>) -> Outcome<StreamOwned<ServerConnection, TcpStream>> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut connection = ServerConnection::new(config.clone())?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn echo(channel: &mut StreamOwned<ServerConnection, TcpStream>) -> Outcome<()> {
    channel.write_all(&[0; 8])?; // the welcome
    loop {
        let mut size = [0; 8];
        channel.read_exact(&mut size)?;
        let mut message = vec![0; usize::try_from(u64::from_be_bytes(size))?];
        channel.read_exact(&mut message)?;
        channel.write_all(&size)?;
        channel.write_all(&message)?;
    }
}
