//! `castmq tree`: the live tree of a running server, at the command line.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use clap::Args;

use crate::{
    actors::live::LIVE_TREE,
    protocol::{
        codes::{RequestCode, ResponseCode},
        fields::Fields,
        frame::Frame,
        header::Header,
    },
};

/// Exit status for a server that could not be asked.
const REFUSED: u8 = 2;
/// How long a server may take to connect and to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the tree is drawn with `--live`.
const EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Show the actors of a running nameserver or broker: state, restarts, mailbox, what each says of itself, and
/// why it last failed
#[derive(Args, Clone, Debug)]
pub struct TreeArgs {
    /// The server
    #[arg(value_name = "HOST:PORT")]
    address: String,
    /// Draw it anew every second, until interrupted
    #[arg(long)]
    live: bool,
}

/// Runs the command.
pub fn run(args: &TreeArgs) -> ExitCode {
    match show(args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads may stop early: `castmq tree ... | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("castmq tree: {}: {error}", args.address);
            ExitCode::from(REFUSED)
        }
    }
}

fn show(args: &TreeArgs) -> io::Result<()> {
    let unknown = || io::Error::other("no address of that name");
    let address = args.address.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    loop {
        let tree = ask(&mut stream)?;
        let mut out = io::stdout().lock();
        if args.live {
            out.write_all(CLEAR.as_bytes())?;
        }
        out.write_all(&tree)?;
        out.flush()?;
        if !args.live {
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

fn ask(stream: &mut TcpStream) -> io::Result<Bytes> {
    let header =
        Header::request(RequestCode::from(LIVE_TREE)).with_fields(Fields::new().with("format", "text"));
    let mut buffer = BytesMut::new();
    Frame { header, body: Bytes::new() }.encode(&mut buffer).map_err(io::Error::other)?;
    stream.write_all(&buffer.split())?;
    loop {
        if let Some(answer) = Frame::decode(&mut buffer).map_err(io::Error::other)? {
            let code = answer.header.response_code();
            if code == ResponseCode::SUCCESS {
                return Ok(answer.body);
            }
            return Err(io::Error::other(format!("{code}: {}", answer.header.remark.unwrap_or_default())));
        }
        let mut chunk = [0; 16 << 10];
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => buffer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
}
