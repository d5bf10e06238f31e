//! Hands messages to a handler, several at a time, until Ctrl-C.

use std::time::Duration;

use castmq::client::{Client, Filter, Result, Start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let consumer = client
        .push_consumer("example-consumer")
        .subscribe("example", Filter::all())
        .start_from(Start::First)
        .concurrency(8)
        .await?;
    let stopper = consumer.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopper.shutdown(Duration::from_secs(10)).await;
        }
    });
    consumer
        .run(async |message| {
            let text = std::str::from_utf8(message.body())?.to_owned();
            println!("{}: {text}", message.id());
            // An error would make the message come again.
            Ok::<(), std::str::Utf8Error>(())
        })
        .await;
    Ok(())
}
